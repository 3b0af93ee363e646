//! Channels.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use switchboard_proto::channel_gateway::v1::{
    Channel, CreateChannelRequest, DisableChannelRequest, EnableChannelRequest, GetChannelRequest,
    ListChannelsRequest, TelegramBotCredentials, UpdateChannelRequest, channel::State,
    create_channel_request::Credentials,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, json, words};

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
}

impl Show for Channel {
    const NAME: &'static str = "switchboard.channel_gateway.v1.Channel";
    const OPTIONAL: &'static [&'static str] = &["PROVIDER", "KIND", "LAST OUT", "LAST IN"];
    const HEADERS: &'static [&'static str] = &[
        "ID", "KIND", "NAME", "STATE", "PROVIDER", "LAST IN", "LAST OUT", "PROBLEM",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.channel_id),
            cell(words::word(self.kind().as_str_name(), "CHANNEL_KIND_")),
            cell(&self.name),
            cell(words::word(self.state().as_str_name(), "STATE_")).by_word(),
            cell(&self.provider_name),
            cell(words::ago(self.last_inbound_time.as_ref(), view.now)).dim(),
            cell(words::ago(self.last_outbound_time.as_ref(), view.now)).dim(),
            cell(&self.problem),
        ]
    }
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
            bot_token,
            bot_token_file,
            request_id,
        } => {
            let token = match (bot_token, bot_token_file) {
                (_, Some(path)) => std::fs::read_to_string(&path)
                    .map_err(|error| CliError::file("read the bot's token", &path, &error))?
                    .trim()
                    .to_owned(),
                (token, None) => token.unwrap_or_default(),
            };
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
            view.one(client.disable_channel(request).await?.into_inner().channel)
        }
    }
}
