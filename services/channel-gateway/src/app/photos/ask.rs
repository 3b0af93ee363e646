//! Asking a provider about a client's photo.

use std::time::Duration;

use super::super::App;
use super::super::book::Known;
use super::super::line;
use super::asked::aad;
use crate::domain::credentials::Credentials;
use crate::domain::photo::Said;
use crate::domain::refusal::Class;
use crate::domain::{instagram, telegram};
use crate::provider::CallError;
use crate::store::photos::Claimed;

/// What a provider says.
pub(super) enum Asked {
    /// Of the photo; none where there is none.
    Said(Option<Said>),
    /// Nothing, ever.
    Never,
    Later(Duration),
    /// Nobody could be asked.
    Away,
}

/// Asks Telegram and Instagram; Viber's messages have told.
pub(super) async fn ask(app: &App, known: &Known, work: &Claimed) -> Asked {
    match &known.access {
        Credentials::Telegram(token) => {
            let Ok(user_id) = work.user_id.parse() else {
                return Asked::Never;
            };
            let said = app.bots.profile_photo(token, user_id).await;
            heard(said, telegram::errors::classify)
        }
        Credentials::Instagram(profile) => {
            let (login, token) = (line::login(profile), &profile.access_token);
            let person = app.graph.profile(login, token, &work.user_id).await;
            let said = person.map(|person| Said::at(&person.picture));
            heard(said, instagram::errors::classify)
        }
        Credentials::Viber(_) => match &work.reference {
            None => Asked::Said(None),
            Some(sealed) => match app.sealer.open(sealed, &aad(work.chat_id)) {
                Ok(reference) => Asked::Said(Some(Said::told(reference))),
                Err(_) => Asked::Never,
            },
        },
        Credentials::Email(_) | Credentials::Forgotten(_) => Asked::Never,
    }
}

fn heard<E: std::fmt::Debug>(
    said: Result<Option<Said>, CallError<E>>,
    classify: impl FnOnce(&E) -> Class,
) -> Asked {
    match said {
        Ok(said) => Asked::Said(said),
        // A question changes nothing: it may be asked twice.
        Err(CallError::NotReached | CallError::Unknown(_)) => Asked::Later(Duration::ZERO),
        Err(CallError::Refused(error)) => match classify(&error) {
            Class::Flood(wait) | Class::ChatFlood(wait) => Asked::Later(wait),
            Class::Outage => Asked::Later(Duration::ZERO),
            Class::Disconnected(_) | Class::Paused(_) => Asked::Away,
            _ => Asked::Never,
        },
    }
}
