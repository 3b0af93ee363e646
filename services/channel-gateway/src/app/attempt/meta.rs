//! Attempts through the Graph API.

use chassis::clock;
use uuid::Uuid;

use super::{Answered, App, Work, line, link_files, refused};
use crate::domain::call::Call;
use crate::domain::credentials;
use crate::domain::instagram::call::{body, pictures, provider_key};
use crate::domain::instagram::errors::{classify, wants_single_images};
use crate::provider::CallError;
use crate::store::private_replies;

pub(super) async fn send(
    app: &App,
    profile: &credentials::Instagram,
    work: &Work,
    call: &Call,
) -> Answered {
    let mut body = body(call, &work.chat_key);
    if let Err(answered) = link_files(app, work, &mut body).await {
        return answered;
    }
    let (login, token) = (line::login(profile), &profile.access_token);
    match app.graph.call(login, token, call, &body).await {
        Ok(answer) => taken(call, provider_key(call, &answer)),
        Err(CallError::Refused(error)) if wants_single_images(&error) => {
            note_single(app, work.channel_id).await;
            match pictures::one_by_one(call) {
                Some(first) => Answered::Otherwise(first),
                None => Answered::Refused(classify(&error)),
            }
        }
        Err(error) => refused(error, |error| {
            tracing::info!(status = error.status, code = error.code, subcode = error.subcode, message = error.message, channel.id = %work.channel_id, "call refused");
            classify(&error)
        }),
    }
}

/// What was taken: all of a part, or one of its pictures.
fn taken(call: &Call, key: Option<String>) -> Answered {
    let named = key.clone().unwrap_or_default();
    match pictures::further(call, &named) {
        Some(rest) => Answered::Piece(named, rest),
        None => Answered::Sent(pictures::earlier(call).chain(key).collect()),
    }
}

/// Remembers that the account takes one picture a message. Without it the next message with several is refused first.
async fn note_single(app: &App, channel: Uuid) {
    let noted = async {
        let mut connection = app.pool.acquire().await?;
        private_replies::note_single(&mut connection, channel, clock::now()).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, channel.id = %channel, "that an account takes single pictures could not be noted");
    }
}
