//! What a channel is called, how it writes links, and what it can.

use clap::{Subcommand, ValueEnum};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_client::ChannelGatewayServiceClient;
use switchboard_proto::channel_gateway::v1::{GetChannelRequest, UpdateChannelRequest};
use uuid::Uuid;

use crate::connect::Authorised;
use crate::error::CliError;
use crate::output::View;

/// Verbs on a channel's settings.
#[derive(Subcommand)]
pub(crate) enum SettingVerb {
    /// Show what can be done through a channel
    Capabilities {
        /// Id of the channel
        channel: Uuid,
    },
    /// Give a channel another name
    Rename {
        /// Id of the channel
        channel: Uuid,
        /// Its new name inside the account
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        name: String,
    },
    /// Have links in what is sent replaced by short ones, so that clicks are told, or leave them as typed
    ShortLinks {
        /// Id of the channel
        channel: Uuid,
        /// Whether links are replaced
        #[arg(value_enum)]
        links: Switch,
    },
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Links are replaced.
    On,
    /// Links stay as they were typed.
    Off,
}

/// Runs a verb.
pub(super) async fn run(
    verb: SettingVerb,
    client: &mut ChannelGatewayServiceClient<Authorised>,
    view: &View,
) -> Result<(), CliError> {
    let request = match verb {
        SettingVerb::Capabilities { channel } => {
            let request = GetChannelRequest {
                channel_id: channel.to_string(),
            };
            let known = client.get_channel(request).await?.into_inner().channel;
            return view.one(known.and_then(|channel| channel.capabilities));
        }
        SettingVerb::Rename { channel, name } => UpdateChannelRequest {
            channel_id: channel.to_string(),
            name,
            ..UpdateChannelRequest::default()
        },
        SettingVerb::ShortLinks { channel, links } => UpdateChannelRequest {
            channel_id: channel.to_string(),
            shorten_links: Some(links == Switch::On),
            ..UpdateChannelRequest::default()
        },
    };
    view.one(client.update_channel(request).await?.into_inner().channel)
}
