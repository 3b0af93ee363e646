//! What connecting a line means at each provider: proving credentials, registering and taking back the webhook.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::App;
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::Credentials;
use crate::domain::refusal::Class;
use crate::domain::{telegram, viber};
use crate::error::Error;
use crate::provider::CallError;

/// What a provider tells of a line whose credentials it accepts.
#[derive(Debug, Clone, Default)]
pub struct Proven {
    /// The provider's own name of the line.
    pub name: String,
    /// The provider's own id of the line, where only the provider can tell it.
    pub provider_account: Option<String>,
}

/// Proves credentials by asking the provider who they are.
pub async fn prove(app: &App, credentials: &Credentials) -> Result<Proven, Error> {
    match credentials {
        Credentials::Telegram(token) => {
            let name = app.bots.get_me(token).await.map_err(refused_by_telegram)?;
            Ok(Proven {
                name,
                provider_account: None,
            })
        }
        Credentials::Viber(bot) => {
            let info = app.viber.account_info(&bot.token).await;
            let info = info.map_err(refused_by_viber)?;
            Ok(Proven {
                name: info.name,
                provider_account: (!info.id.is_empty()).then_some(info.id),
            })
        }
        other => Err(not_yet(other.kind())),
    }
}

/// Has the provider call us: from now on customers are heard.
pub async fn listen(
    app: &App,
    channel: Uuid,
    credentials: &Credentials,
    secret: &SecretString,
) -> Result<(), Error> {
    match credentials {
        Credentials::Telegram(token) => {
            let url = format!("{}/in/telegram/{channel}", app.public_url);
            app.bots
                .set_webhook(token, &url, secret.expose_secret())
                .await
                .map_err(refused_by_telegram)
        }
        Credentials::Viber(bot) => {
            let url = format!("{}/in/viber/{channel}", app.public_url);
            let set = app.viber.set_webhook(&bot.token, &url).await;
            set.map_err(refused_by_viber)
        }
        other => Err(not_yet(other.kind())),
    }
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
        other => Err(not_yet(other.kind())),
    }
}

fn not_yet(kind: ChannelKind) -> Error {
    Error::ProviderAway(kind)
}

fn refused_by_telegram(error: CallError<telegram::errors::ApiError>) -> Error {
    match error {
        // So a token is refused that was never one.
        CallError::Refused(error)
            if error.code == 400 && error.description.to_lowercase().contains("token") =>
        {
            Error::Refused(telegram::errors::CREDENTIALS_REFUSED)
        }
        CallError::Refused(error) => {
            refused(telegram::errors::classify(&error), ChannelKind::TelegramBot)
        }
        CallError::NotReached | CallError::Unknown(_) => {
            Error::ProviderAway(ChannelKind::TelegramBot)
        }
    }
}

fn refused_by_viber(error: CallError<viber::errors::ApiError>) -> Error {
    match error {
        CallError::Refused(error) => {
            refused(viber::errors::classify(&error), ChannelKind::ViberBot)
        }
        CallError::NotReached | CallError::Unknown(_) => Error::ProviderAway(ChannelKind::ViberBot),
    }
}

fn refused(class: Class, kind: ChannelKind) -> Error {
    match class {
        Class::Refused(refusal) | Class::Disconnected(refusal) => Error::Refused(refusal),
        _ => Error::ProviderAway(kind),
    }
}
