//! `UpdateChat`: a chat's own name and image (F163, F165, F166).

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::act::Act;
use super::announce;
use super::quick_replies::Files;
use super::{access, images};
use crate::domain::ChatId;
use crate::error::Error;
use crate::store;

/// What a chat shall be called and look like; none where it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its name; empty for none.
    pub name: Option<String>,
    /// Its image; the inner none takes it away.
    pub image: Option<Option<Uuid>>,
}

/// Gives a chat another name or image. What is so already is no change.
pub async fn rename(
    pool: &PgPool,
    waker: &Waker,
    files: &dyn Files,
    caller: &Caller,
    (chat, look): (ChatId, Look),
    now: OffsetDateTime,
) -> Result<pb::UpdateChatResponse, Error> {
    access::may_use_chats(caller)?;
    if let Some(Some(image)) = look.image {
        // Before the transaction: the gateway is asked.
        images::hold(files, caller, image).await?;
    }
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let before = (act.chat.name.clone(), act.chat.image);
    if let Some(name) = look.name {
        act.chat.name = name;
    }
    if let Some(image) = look.image {
        act.chat.image = image;
        if image.is_some() {
            store::chat::images::held(&mut act.tx, &[act.chat.id], now).await?;
        }
    }
    if before != (act.chat.name.clone(), act.chat.image) {
        let event = pb::ChatRenamed {
            chat_id: act.chat.id.to_string(),
            channel_id: act.chat.channel.to_string(),
            name: act.chat.name.clone(),
            image_attachment_id: act.chat.image.map(|id| id.to_string()).unwrap_or_default(),
        };
        act.tell(announce::about_chat(&act.chat, &event, &act.cause));
        let of = announce::of_act(&act.chat);
        if before.0 == act.chat.name {
            act.note(of, "chat.image-changed", &[])?;
        } else {
            let names = [("name", act.chat.name.clone()), ("previous_name", before.0)];
            act.note(of, "chat.renamed", &names)?;
        }
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::UpdateChatResponse { chat })
}
