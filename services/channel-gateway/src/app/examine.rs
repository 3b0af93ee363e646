//! Asking a provider how a line is. Nothing is changed by it.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use super::App;
use super::book::Known;
use super::line;
use crate::domain::credentials::Credentials;
use crate::domain::health::{Judgement, Webhook};
use crate::domain::refusal::{Class, Refusal};
use crate::domain::{instagram, mailbox, telegram, viber};
use crate::provider::CallError;
use crate::provider::viber::EVENT_TYPES;
use crate::store::mailboxes;

/// How long looking at one channel may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(45);

/// Why there is nothing to judge.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The provider refuses the whole line.
    Refused(Refusal),
    /// Nobody can tell now.
    Away,
}

/// Asks the provider of a line how it is.
pub(super) async fn examine(
    app: &App,
    known: &Known,
    now: OffsetDateTime,
) -> Result<Judgement, Fault> {
    match &known.access {
        Credentials::Telegram(token) => {
            let info = app.bots.get_webhook_info(token).await;
            let info = info.map_err(|error| fault(error, telegram::errors::classify))?;
            let ours = line::address(app, known.kind, known.id);
            Ok(telegram::health::judge(&info, &ours, now))
        }
        // Nobody calls but whoever rehearses.
        Credentials::Viber(bot) if viber::rehearsal::line(bot.token.expose_secret()).is_some() => {
            Ok(Judgement {
                webhook: Webhook::NotUsed,
                ..Judgement::default()
            })
        }
        Credentials::Viber(bot) => {
            let info = app.viber.account_info(&bot.token).await;
            let info = info.map_err(|error| fault(error, viber::errors::classify))?;
            let ours = line::address(app, known.kind, known.id);
            Ok(viber::health::judge(
                &info.webhook,
                &info.event_types,
                &EVENT_TYPES,
                &ours,
            ))
        }
        Credentials::Instagram(profile) => {
            let (login, token) = (line::login(profile), &profile.access_token);
            let judge = |error| fault(error, instagram::errors::classify);
            app.graph.me(login, token).await.map_err(judge)?;
            let subscribed = app.graph.subscribed(login, token, line::node(profile));
            let subscribed = subscribed.await.map_err(judge)?;
            Ok(instagram::health::judge(&subscribed, login.fields()))
        }
        // Who follows it knows best.
        Credentials::Email(_) => {
            let mut connection = app.pool.acquire().await.map_err(|_| Fault::Away)?;
            let followed = mailboxes::followed(&mut connection, known.id)
                .await
                .map_err(|_| Fault::Away)?;
            Ok(mailbox::health::judge(followed.as_ref(), now))
        }
        Credentials::Forgotten(_) => Err(Fault::Away),
    }
}

fn fault<E: std::fmt::Debug>(error: CallError<E>, classify: impl Fn(&E) -> Class) -> Fault {
    match error {
        CallError::Refused(error) => match classify(&error) {
            Class::Disconnected(refusal) => Fault::Refused(refusal),
            _ => Fault::Away,
        },
        CallError::NotReached | CallError::Unknown(_) => Fault::Away,
    }
}
