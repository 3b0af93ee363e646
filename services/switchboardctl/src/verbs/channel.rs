//! Channels.

mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, CreateChannelRequest, DisableChannelRequest,
    DisconnectChannelRequest, EnableChannelRequest, GetChannelRequest, ListChannelsRequest,
    TelegramBotCredentials, UpdateChannelRequest, VerifyChannelRequest, channel::State,
    connect_channel_request, create_channel_request::Credentials,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, json};

/// Verbs on channels.
#[derive(Subcommand)]
pub(crate) enum ChannelVerb {
    /// Connect a Telegram bot; it is heard after `channel enable`
    CreateTelegram {
        /// Name inside the account
        name: String,
        /// Id for the channel, so that its rules can be set beforehand
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        #[command(flatten)]
        token: BotToken,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Connect a line of any kind; it is heard after `channel enable`
    Create {
        /// Name inside the account
        name: String,
        /// A file with the credentials, as JSON in the words of the contract: `{"viber_bot": {"token": "…"}}`
        #[arg(long, value_name = "FILE")]
        credentials: PathBuf,
        /// Id for the channel, so that its rules can be set beforehand
        #[arg(long, value_name = "UUID")]
        id: Option<Uuid>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Give a channel new credentials for the same line; where it is enabled they are proven first
    Credentials {
        /// Id of the channel
        channel: Uuid,
        /// A file with the credentials, as for `channel create`
        file: PathBuf,
    },
    /// List channels
    List(Page),
    /// Show one channel
    Show {
        /// Id of the channel
        channel: Uuid,
    },
    /// Register the webhook: from now on customers are heard
    Enable {
        /// Id of the channel
        channel: Uuid,
    },
    /// Take the webhook back
    Disable {
        /// Id of the channel
        channel: Uuid,
    },
    /// Ask the provider how the channel stands with it; mends nothing
    Verify {
        /// Id of the channel
        channel: Uuid,
    },
    /// Take the webhook back and forget the credentials; chats and history stay
    Disconnect {
        /// Id of the channel
        channel: Uuid,
    },
    /// Connect a channel again with new credentials of the same line, and enable it
    Connect {
        /// Id of the channel
        channel: Uuid,
        #[command(flatten)]
        credentials: NewCredentials,
    },
}

/// A Telegram bot's token, by whichever way.
#[derive(Args)]
pub(crate) struct BotToken {
    /// The bot's token, from `@BotFather`
    #[arg(
        long,
        env = "SWITCHBOARD_CTL_BOT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        required_unless_present = "bot_token_file"
    )]
    bot_token: Option<String>,
    /// A file with that token, which keeps it out of the list of processes
    #[arg(long, value_name = "FILE", conflicts_with = "bot_token")]
    bot_token_file: Option<PathBuf>,
}

impl BotToken {
    fn read(self) -> Result<String, CliError> {
        match (self.bot_token, self.bot_token_file) {
            (_, Some(path)) => bot_token(&path),
            (token, None) => Ok(token.unwrap_or_default()),
        }
    }
}

/// New credentials of a channel, whichever its kind.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewCredentials {
    /// A file with a Telegram bot's token, from `@BotFather`
    #[arg(long, value_name = "FILE")]
    bot_token_file: Option<PathBuf>,
    /// A JSON file with the credentials as `ConnectChannel` takes them, for example `{"viberBot": {"token": "…"}}`
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
}

impl NewCredentials {
    fn read(self) -> Result<Option<connect_channel_request::Credentials>, CliError> {
        if let Some(path) = self.bot_token_file {
            let token = bot_token(&path)?;
            let bot = TelegramBotCredentials { token };
            return Ok(Some(connect_channel_request::Credentials::TelegramBot(bot)));
        }
        let path = self.credentials_file.unwrap_or_default();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| CliError::file("read the credentials", &path, &error))?;
        credentials(&text).map(Some).ok_or_else(|| {
            // Without what stands there: it is a secret.
            CliError::failed(
                format!("{} holds no credentials", path.display()),
                "one object as {\"viberBot\": {…}}, {\"instagram\": {…}}, {\"email\": {…}} or {\"telegramBot\": {…}}",
            )
        })
    }
}

/// Reads credentials as `ConnectChannel` takes them.
fn credentials(text: &str) -> Option<connect_channel_request::Credentials> {
    let name = "switchboard.channel_gateway.v1.ConnectChannelRequest";
    let request: ConnectChannelRequest = json::message(name, text)?;
    request.credentials
}

fn bot_token(path: &Path) -> Result<String, CliError> {
    let token = std::fs::read_to_string(path)
        .map_err(|error| CliError::file("read the bot's token", path, &error))?;
    Ok(token.trim().to_owned())
}

/// Tells whether customers of a channel are heard.
pub(crate) fn is_enabled(channel: &Channel) -> bool {
    channel.state() == State::Enabled
}

const CREATE: &str = "switchboard.channel_gateway.v1.CreateChannelRequest";
const UPDATE: &str = "switchboard.channel_gateway.v1.UpdateChannelRequest";

/// A request with the credentials that a file holds. What is wrong with it is not told in detail: it is secret.
fn from_file<T: prost::Message + Default>(name: &str, path: &Path) -> Result<T, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::file("read the credentials", path, &error))?;
    json::message(name, &text).ok_or_else(|| {
        CliError::usage(
            &format!("{} holds no credentials of a channel", path.display()),
            "JSON with one key of the contract: telegram_bot, viber_bot, instagram or email, and in it the fields of \
             that message",
        )
    })
}

/// Runs a verb.
pub(crate) async fn run(verb: ChannelVerb, session: &Session, view: View) -> Result<(), CliError> {
    let role = session.role().await?;
    let mut client = session.channel_gateway(&role).await?;
    match verb {
        ChannelVerb::CreateTelegram {
            name,
            id,
            token,
            request_id,
        } => {
            let token = token.read()?;
            let request = CreateChannelRequest {
                request_id: request_id.get(),
                channel_id: id.map(|id| id.to_string()).unwrap_or_default(),
                name,
                credentials: Some(Credentials::TelegramBot(TelegramBotCredentials { token })),
            };
            view.one(client.create_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Create {
            name,
            credentials,
            id,
            request_id,
        } => {
            let request = CreateChannelRequest {
                request_id: request_id.get(),
                channel_id: id.map(|id| id.to_string()).unwrap_or_default(),
                name,
                ..from_file(CREATE, &credentials)?
            };
            view.one(client.create_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Credentials { channel, file } => {
            let request = UpdateChannelRequest {
                channel_id: channel.to_string(),
                ..from_file(UPDATE, &file)?
            };
            view.one(client.update_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::List(page) => {
            let request = ListChannelsRequest {
                page_size: page.limit,
                page_token: page.page_token,
            };
            let page = client.list_channels(request).await?.into_inner();
            view.list(&page.channels, &page.next_page_token)
        }
        ChannelVerb::Show { channel } => {
            let request = GetChannelRequest {
                channel_id: channel.to_string(),
            };
            view.one(client.get_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Enable { channel } => {
            let request = EnableChannelRequest {
                channel_id: channel.to_string(),
            };
            view.one(client.enable_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Disable { channel } => {
            let request = DisableChannelRequest {
                channel_id: channel.to_string(),
            };
            let answer = client.disable_channel(request).await?.into_inner();
            warn_unless(answer.webhook_taken_back);
            view.one(answer.channel)
        }
        ChannelVerb::Verify { channel } => {
            let request = VerifyChannelRequest {
                channel_id: channel.to_string(),
            };
            view.one(Some(client.verify_channel(request).await?.into_inner()))
        }
        ChannelVerb::Disconnect { channel } => {
            let request = DisconnectChannelRequest {
                channel_id: channel.to_string(),
            };
            let answer = client.disconnect_channel(request).await?.into_inner();
            warn_unless(answer.webhook_taken_back);
            view.one(answer.channel)
        }
        ChannelVerb::Connect {
            channel,
            credentials,
        } => {
            let request = ConnectChannelRequest {
                channel_id: channel.to_string(),
                credentials: credentials.read()?,
            };
            view.one(client.connect_channel(request).await?.into_inner().channel)
        }
    }
}

/// Says that a provider may go on calling for a channel that hears nobody any more.
fn warn_unless(webhook_taken_back: bool) {
    if !webhook_taken_back {
        eprintln!(
            "the provider was not told: it may go on calling, and what it brings is put aside"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_the_contract_names_them() {
        use connect_channel_request::Credentials::{Email, ViberBot};
        let viber = credentials(r#"{"viberBot": {"token": "x", "senderName": "Shop"}}"#);
        assert!(matches!(viber, Some(ViberBot(bot)) if bot.sender_name == "Shop"));
        let mail = r#"{"email": {"address": "a@b.example", "imap": {"host": "h", "security": "SECURITY_TLS"}, "password": "x"}}"#;
        assert!(matches!(credentials(mail), Some(Email(mailbox)) if mailbox.imap.is_some()));
        for nothing in ["", "{}", "[]", r#"{"viberBot": {"tokn": "x"}}"#] {
            assert!(credentials(nothing).is_none(), "{nothing}");
        }
    }
}
