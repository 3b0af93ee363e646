//! What connecting a line means at each provider: proving credentials, registering and taking back the webhook.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::book::Known;
use super::{App, mail};
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::{self, Credentials};
use crate::domain::health::Webhook;
use crate::domain::refusal::{Class, Refusal};
use crate::domain::{instagram, telegram, viber};
use crate::error::Error;
use crate::provider::CallError;
use crate::provider::instagram::Login;

/// Nobody signs in any more: an administrator disconnected the channel.
pub const NOT_CONNECTED: Refusal = Refusal {
    reason: "CHANNEL_DISCONNECTED",
    detail: "The channel is disconnected: an administrator must connect it again.",
    retryable: true,
};

/// What a provider tells of a line whose credentials it accepts.
#[derive(Debug, Clone, Default)]
pub struct Proven {
    /// The provider's own name of the line.
    pub name: String,
    /// The provider's own id of the line, where only the provider can tell it.
    pub provider_account: Option<String>,
    /// What the provider put in the place of the credentials, which are void then.
    pub replaced: Option<Credentials>,
    /// Where the provider calls, where it was told to call us too.
    pub webhook: Option<Webhook>,
}

impl Proven {
    fn named(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }
}

/// Proves credentials by asking the provider who they are.
pub async fn prove(app: &App, credentials: &Credentials) -> Result<Proven, Error> {
    match credentials {
        Credentials::Forgotten(_) => Err(Error::Refused(NOT_CONNECTED)),
        Credentials::Telegram(token) => {
            let name = app.bots.get_me(token).await.map_err(refused_by_telegram)?;
            Ok(Proven::named(name))
        }
        Credentials::Viber(bot) => {
            let info = app.viber.account_info(&bot.token).await;
            let info = info.map_err(refused_by_viber)?;
            Ok(Proven {
                provider_account: (!info.id.is_empty()).then_some(info.id),
                ..Proven::named(info.name)
            })
        }
        Credentials::Instagram(profile) => {
            let me = app.graph.me(login(profile), &profile.access_token).await;
            let me = me.map_err(refused_by_instagram)?;
            if me.account != profile.account_id {
                return Err(Error::Invalid {
                    field: "instagram.account_id",
                    rule: "is not the account of the token",
                });
            }
            Ok(Proven::named(me.username))
        }
        Credentials::Email(mailbox) => {
            let replaced = mail::prove(app, mailbox).await?;
            Ok(Proven {
                replaced: replaced.map(|mailbox| Credentials::Email(Box::new(mailbox))),
                ..Proven::named(mailbox.address.clone())
            })
        }
    }
}

/// Proves the credentials that a channel has. What a mail provider puts in their place meanwhile is kept.
pub(super) async fn prove_channel(app: &App, known: &Known) -> Result<Proven, Error> {
    let Credentials::Email(mailbox) = &known.access else {
        return prove(app, &known.access).await;
    };
    mail::prove_channel(app, known.id, known.credentials, mailbox).await?;
    Ok(Proven::named(mailbox.address.clone()))
}

/// Returns where a provider calls us for a channel; Meta calls one address for all.
pub(super) fn address(app: &App, kind: ChannelKind, channel: Uuid) -> String {
    let url = &app.public_url;
    match kind {
        ChannelKind::TelegramBot => format!("{url}/in/telegram/{channel}"),
        ChannelKind::ViberBot => format!("{url}/in/viber/{channel}"),
        ChannelKind::Instagram => format!("{url}/in/instagram"),
        ChannelKind::Email => String::new(),
    }
}

/// Has the provider call us: from now on customers are heard. Returns where it calls now.
pub async fn listen(
    app: &App,
    channel: Uuid,
    credentials: &Credentials,
    secret: &SecretString,
) -> Result<Webhook, Error> {
    match credentials {
        Credentials::Forgotten(_) => return Err(Error::Refused(NOT_CONNECTED)),
        Credentials::Telegram(token) => {
            let url = address(app, ChannelKind::TelegramBot, channel);
            app.bots
                .set_webhook(token, &url, secret.expose_secret())
                .await
                .map_err(refused_by_telegram)?;
        }
        Credentials::Viber(bot) => {
            let url = address(app, ChannelKind::ViberBot, channel);
            let set = app.viber.set_webhook(&bot.token, &url).await;
            set.map_err(refused_by_viber)?;
        }
        // The webhook's address stands in the app; here the account is subscribed to.
        Credentials::Instagram(profile) => app
            .graph
            .subscribe(login(profile), &profile.access_token, node(profile))
            .await
            .map_err(refused_by_instagram)?,
        // A mailbox calls nobody: it is followed while its channel is enabled.
        Credentials::Email(_) => return Ok(Webhook::NotUsed),
    }
    Ok(Webhook::Set)
}

/// Takes the webhook back.
pub async fn part(app: &App, credentials: &Credentials) -> Result<(), Error> {
    match credentials {
        Credentials::Telegram(token) => app
            .bots
            .delete_webhook(token)
            .await
            .map_err(refused_by_telegram),
        Credentials::Viber(bot) => app
            .viber
            .remove_webhook(&bot.token)
            .await
            .map_err(refused_by_viber),
        Credentials::Instagram(profile) => app
            .graph
            .unsubscribe(login(profile), &profile.access_token, node(profile))
            .await
            .map_err(refused_by_instagram),
        // A mailbox calls nobody: it is followed while its channel is enabled.
        Credentials::Email(_) | Credentials::Forgotten(_) => Ok(()),
    }
}

fn refused_by_telegram(error: CallError<telegram::errors::ApiError>) -> Error {
    match error {
        // So a token is refused that was never one.
        CallError::Refused(error)
            if error.code == 400 && error.description.to_lowercase().contains("token") =>
        {
            Error::Refused(telegram::errors::CREDENTIALS_REFUSED)
        }
        CallError::Refused(error) => refused(
            &telegram::errors::classify(&error),
            ChannelKind::TelegramBot,
        ),
        CallError::NotReached | CallError::Unknown(_) => {
            Error::ProviderAway(ChannelKind::TelegramBot)
        }
    }
}

fn refused_by_viber(error: CallError<viber::errors::ApiError>) -> Error {
    match error {
        CallError::Refused(error) => {
            refused(&viber::errors::classify(&error), ChannelKind::ViberBot)
        }
        CallError::NotReached | CallError::Unknown(_) => Error::ProviderAway(ChannelKind::ViberBot),
    }
}

/// Returns how a profile is connected.
pub(super) fn login(profile: &credentials::Instagram) -> Login {
    if profile.by_page {
        Login::Page
    } else {
        Login::Instagram
    }
}

/// Returns what is subscribed: the account, or its page.
pub(super) fn node(profile: &credentials::Instagram) -> &str {
    if profile.by_page {
        &profile.page_id
    } else {
        &profile.account_id
    }
}

fn refused_by_instagram(error: CallError<instagram::errors::ApiError>) -> Error {
    match error {
        CallError::Refused(error) => {
            refused(&instagram::errors::classify(&error), ChannelKind::Instagram)
        }
        CallError::NotReached | CallError::Unknown(_) => {
            Error::ProviderAway(ChannelKind::Instagram)
        }
    }
}

fn refused(class: &Class, kind: ChannelKind) -> Error {
    match class {
        Class::Refused(refusal) | Class::Disconnected(refusal) => Error::Refused(*refusal),
        _ => Error::ProviderAway(kind),
    }
}
