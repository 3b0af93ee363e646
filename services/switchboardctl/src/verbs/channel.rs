//! Channels.

mod credentials;
mod settings;
mod show;

use clap::Subcommand;
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, CreateChannelRequest, DisableChannelRequest,
    DisconnectChannelRequest, EnableChannelRequest, GetChannelRequest, ListChannelsRequest,
    TelegramBotCredentials, UpdateChannelRequest, VerifyChannelRequest, VerifyChannelResponse,
    channel::State, create_channel_request::Credentials,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, note};
use credentials::{BotToken, CredentialsFile};

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
        #[command(flatten)]
        credentials: CredentialsFile,
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
        #[command(flatten)]
        credentials: CredentialsFile,
    },
    /// List channels
    List(Page),
    /// Show one channel
    Show {
        /// Id of the channel
        channel: Uuid,
    },
    #[command(flatten)]
    Setting(settings::SettingVerb),
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
    /// Ask the provider how the channel stands with it; mends nothing. Exits with 1 where the provider refuses the
    /// credentials
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
        credentials: CredentialsFile,
    },
}

/// Tells whether customers of a channel are heard.
pub(crate) fn is_enabled(channel: &Channel) -> bool {
    channel.state() == State::Enabled
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
                ..credentials.read()?
            };
            view.one(client.create_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Credentials {
            channel,
            credentials,
        } => {
            let request = UpdateChannelRequest {
                channel_id: channel.to_string(),
                ..credentials.read()?
            };
            view.one(client.update_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListChannelsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_channels(request).await?.into_inner();
                Ok((page.channels, page.next_page_token))
            };
            let (channels, next) = page.read(ask).await?;
            view.list(&channels, &next)
        }
        ChannelVerb::Show { channel } => {
            let request = GetChannelRequest {
                channel_id: channel.to_string(),
            };
            view.one(client.get_channel(request).await?.into_inner().channel)
        }
        ChannelVerb::Setting(verb) => settings::run(verb, &mut client, &view).await,
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
        ChannelVerb::Verify { channel } => verify(session, channel, &view).await,
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
                ..credentials.read()?
            };
            view.one(client.connect_channel(request).await?.into_inner().channel)
        }
    }
}

/// Shows what the provider says.
async fn verify(session: &Session, channel: Uuid, view: &View) -> Result<(), CliError> {
    let mut client = session.channel_gateway(&session.role().await?).await?;
    let request = VerifyChannelRequest {
        channel_id: channel.to_string(),
    };
    let answer = client.verify_channel(request).await?.into_inner();
    view.one(Some(answer.clone()))?;
    accepted(&answer, channel)
}

/// Fails where the provider does not accept the credentials, with what to do.
fn accepted(answer: &VerifyChannelResponse, channel: Uuid) -> Result<(), CliError> {
    if answer.accepted {
        return Ok(());
    }
    let why = answer.problems.iter().find(|problem| !problem.hint);
    let why = why
        .map(|problem| problem.reason.as_str())
        .unwrap_or_default();
    // A disconnected channel takes them by being connected again, any other in place.
    let verb = if why == "CHANNEL_DISCONNECTED" {
        "connect"
    } else {
        "credentials"
    };
    Err(CliError::failed(
        format!("the provider does not accept the channel's credentials: {why}")
            .trim_end_matches(": ")
            .to_owned(),
        format!(
            "new ones of the same line: `{} channel {verb} {channel} --credentials FILE`",
            crate::context::program()
        ),
    ))
}

/// Says that a provider may go on calling for a channel that hears nobody any more.
fn warn_unless(webhook_taken_back: bool) {
    if !webhook_taken_back {
        note!("the provider was not told: it may go on calling, and what it brings is put aside");
    }
}

#[cfg(test)]
mod tests {
    use switchboard_proto::channel_gateway::v1::ChannelProblem;

    use super::*;

    #[test]
    fn b10_a_refusal_of_the_provider_is_a_failure_that_says_what_to_do() {
        let channel = Uuid::from_u128(1);
        let answer = |accepted, reason: &str| VerifyChannelResponse {
            accepted,
            problems: vec![ChannelProblem {
                reason: reason.into(),
                ..ChannelProblem::default()
            }],
            ..VerifyChannelResponse::default()
        };
        assert!(accepted(&answer(true, "WEBHOOK_FOREIGN"), channel).is_ok());
        for (reason, verb) in [
            ("CHANNEL_DISCONNECTED", "connect"),
            ("CREDENTIALS_REFUSED", "credentials"),
        ] {
            let error = accepted(&answer(false, reason), channel).unwrap_err();
            assert_eq!(error.exit_code(), 1);
            let text = error.render();
            let hint = format!("channel {verb} {channel} --credentials FILE");
            assert!(text.contains(&hint) && text.contains(reason), "{text}");
        }
    }
}
