//! What a quick reply is in a chat: for the input field. Nothing is sent and nothing is kept (F096, F097).

use chassis::auth::Caller;
use switchboard_proto::common::v1::{Text, TextEntity};
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use super::QuickReplies;
use crate::app::access;
use crate::domain::chat::Chat;
use crate::domain::quick_reply::{self, QuickReplyId, Range, Rendered, Values, Variable};
use crate::domain::{ChatId, TEXT_MAX};
use crate::error::{Error, QuickReplyError};
use crate::store;
use crate::store::client::Profile;

/// Scope of clients of mailboxes, whose user id is their address.
const MAIL: &str = "email";

impl QuickReplies {
    /// Puts what is known of a chat and of the caller into a quick reply.
    pub async fn render(
        &self,
        caller: &Caller,
        chat: ChatId,
        id: QuickReplyId,
    ) -> Result<pb::RenderQuickReplyResponse, Error> {
        let mut connection = self.pool.acquire().await?;
        let chat = access::chat(&mut connection, caller, chat).await?;
        let client = store::client::profiles(&mut connection, &[chat.client])
            .await?
            .remove(&chat.client)
            .unwrap_or_default();
        // Not held while assignment is asked.
        drop(connection);
        let reply = self.visible(caller, id).await?;
        let unreadable =
            |flaw: quick_reply::Flaw| Error::Broken(format!("quick reply {id}: {flaw}"));
        let asked = quick_reply::variables(&reply.text.text).map_err(unreadable)?;
        let name = match caller.agent() {
            Some(agent) if asked.contains(&Variable::AgentName) => {
                let name = self.staff.name(caller.account(), agent).await;
                name.map_err(Error::Refused)?.unwrap_or_default()
            }
            _ => String::new(),
        };
        let number = chat
            .open_episode()
            .map(|episode| episode.number.to_string());
        let values = Values {
            client_name: &client.name,
            client_username: &client.username,
            client_phone: &client.phone,
            client_email: address(&client),
            agent_name: &name,
            conversation_number: number.as_deref().unwrap_or_default(),
        };
        let ranges: Vec<Range> = reply.text.entities.iter().map(range).collect();
        let rendered =
            quick_reply::render(&reply.text.text, &ranges, &values).map_err(unreadable)?;
        let characters = rendered.text.chars().count();
        if characters > TEXT_MAX {
            return Err(QuickReplyError::RenderedTooLong(characters).into());
        }
        let missing = rendered.missing.iter();
        Ok(pb::RenderQuickReplyResponse {
            missing_variables: missing.map(|one| one.name().to_owned()).collect(),
            text: Some(formatted(rendered, reply.text.entities)),
            attachment_ids: reply.files.iter().map(Uuid::to_string).collect(),
        })
    }
}

/// Puts what is known of a chat and its client into a text that nobody in particular says. One that cannot be read stays as it is.
pub(in crate::app) fn put_in(text: Option<&Text>, chat: &Chat, client: &Profile) -> Text {
    let Some(text) = text else {
        return Text::default();
    };
    let number = chat
        .episode
        .as_ref()
        .map(|episode| episode.number.to_string());
    let values = Values {
        client_name: &client.name,
        client_username: &client.username,
        client_phone: &client.phone,
        client_email: address(client),
        agent_name: "",
        conversation_number: number.as_deref().unwrap_or_default(),
    };
    let ranges: Vec<Range> = text.entities.iter().map(range).collect();
    match quick_reply::render(&text.text, &ranges, &values) {
        Ok(rendered) => formatted(rendered, text.entities.clone()),
        Err(_) => text.clone(),
    }
}

/// The address by which mails reach a client.
fn address(client: &Profile) -> &str {
    if client.email.is_empty() && client.scope == MAIL {
        &client.user_id
    } else {
        &client.email
    }
}

fn range(entity: &TextEntity) -> Range {
    let place = |units: u32| usize::try_from(units).unwrap_or(usize::MAX);
    let start = place(entity.offset);
    (start, start.saturating_add(place(entity.length)))
}

/// Puts the formatting where its ranges are now.
fn formatted(rendered: Rendered, entities: Vec<TextEntity>) -> Text {
    let moved = entities.into_iter().zip(rendered.ranges);
    let moved = moved.filter_map(|(entity, range)| {
        let (start, end) = range?;
        Some(TextEntity {
            offset: u32::try_from(start).ok()?,
            length: u32::try_from(end - start).ok()?,
            ..entity
        })
    });
    Text {
        entities: moved.collect(),
        text: rendered.text,
    }
}
