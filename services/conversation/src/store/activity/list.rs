//! Lists of the activity log, newest first, a page at a time.
//!
//! A list has one thing that it is found by, the narrowest of those that are asked for, which has an index; what else it is
//! narrowed to is looked at entry by entry, of which a page looks through so many at most. Where that does not fill the page,
//! the next one begins behind what was looked through.

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::ChatId;
use crate::domain::activity::Reach;
use crate::domain::words::EntityKind;

/// Entries that a page looks through at most, of all groups together.
const LOOKED: i64 = 5_000;

/// Of each group at least.
const LOOKED_MIN: i64 = 100;

/// What is listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these types; empty for all.
    pub types: Vec<String>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only by this kind of actor.
    pub actor_kind: Option<String>,
    /// Only of this chat.
    pub chat: Option<ChatId>,
    /// Only of this kind of entity.
    pub entity_kind: Option<EntityKind>,
    /// Only of this entity.
    pub entity: Option<Uuid>,
    /// Only from then on.
    pub since: Option<OffsetDateTime>,
    /// Key actions too, where types are not named.
    pub key_actions: bool,
}

/// Where a page begins: after the entry with this time and id.
pub type Position = (OffsetDateTime, Uuid);

/// After every entry: where the first page begins.
pub const END: Position = (
    time::macros::datetime!(9999-12-31 23:59:59.999999 UTC),
    Uuid::max(),
);

/// Before every entry.
const BEGINNING: OffsetDateTime = time::macros::datetime!(0001-01-01 00:00:00 UTC);

/// A stored entry.
#[derive(Debug, Clone)]
pub struct Row {
    /// Id of the event.
    pub event: Uuid,
    /// Its name.
    pub kind: String,
    /// When it happened.
    pub time: OffsetDateTime,
    /// Who did it.
    pub actor: String,
    /// It is a key action.
    pub key_action: bool,
    /// The chat.
    pub chat: Option<Uuid>,
    /// The channel.
    pub channel: Option<Uuid>,
    /// The conversation.
    pub conversation: Option<Uuid>,
    /// Its number; 0 where there is none.
    pub number: i64,
    /// What it happened to.
    pub entity_kind: String,
    /// Its id.
    pub entity: Option<Uuid>,
    /// What there is to say.
    pub parameters: Json<BTreeMap<String, String>>,
}

impl Row {
    /// Returns where a page after this entry begins.
    pub fn position(&self) -> Position {
        (self.time, self.event)
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Entries, one more at most than the page has.
    pub rows: Vec<Row>,
    /// Behind this nothing was looked at; none where a full page was found, or the end.
    pub bound: Option<Position>,
}

/// What a list is found by: the narrowest of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Entity,
    Chat,
    Actor,
    Type,
    ActorKind,
    KeyAction,
}

impl Filter {
    /// Says what the list is found by, and the values that are looked for there.
    fn narrowest(&self) -> (By, Vec<String>) {
        if let Some(entity) = self.entity {
            (By::Entity, vec![entity.to_string()])
        } else if let Some(chat) = self.chat {
            (By::Chat, vec![chat.to_string()])
        } else if let Some(actor) = &self.actor {
            (By::Actor, vec![actor.clone()])
        } else if !self.types.is_empty() {
            (By::Type, self.types.clone())
        } else if let Some(kind) = &self.actor_kind {
            (By::ActorKind, vec![kind.clone()])
        } else {
            let wanted = [false, true]
                .into_iter()
                .take(1 + usize::from(self.key_actions));
            (By::KeyAction, wanted.map(|one| one.to_string()).collect())
        }
    }

    /// Tells whether what is found so is looked at entry by entry besides.
    fn looks_at_each(&self, by: By) -> bool {
        let further = [
            (self.entity.is_some(), By::Entity),
            (self.chat.is_some(), By::Chat),
            (self.actor.is_some(), By::Actor),
            (!self.types.is_empty(), By::Type),
            (self.actor_kind.is_some(), By::ActorKind),
            (!self.with_key_actions(), By::KeyAction),
        ];
        let further = further
            .into_iter()
            .any(|(asked, other)| asked && other != by);
        further || self.entity_kind.is_some()
    }

    /// Types say by themselves whether they are key actions.
    fn with_key_actions(&self) -> bool {
        self.key_actions || !self.types.is_empty()
    }
}

macro_rules! found {
    ($by:literal, $connection:ident, $account:ident, $filter:ident, $reach:ident, $values:ident, $after:ident, $limit:ident, $each:ident) => {{
        let look = $each.unwrap_or($limit);
        let since = $filter.since.unwrap_or(BEGINNING);
        let rows = sqlx::query_as!(
            Row,
            r#"select found.event_id as "event!", found.type as "kind!", found.time as "time!", found.actor as "actor!",
                   found.key_action as "key_action!", found.chat_id as "chat?", found.channel_id as "channel?",
                   found.conversation_id as "conversation?", found.number as "number!", found.entity_kind as "entity_kind!",
                   found.entity_id as "entity?", found.parameters as "parameters!: Json<BTreeMap<String, String>>"
               from unnest($1::text[]) as wanted (value)
               cross join lateral (
                   select looked.* from (
                       select * from activity
                       where account = $2 and (time, event_id) < ($3, $4) and time >= $5 and "# + $by + r#"
                       order by time desc, event_id desc limit $6) as looked
                   where ($7::uuid[] is null or channel_id = any($7)
                          or (chat_id is null and channel_id is null and entity_kind not in ('', 'channel')))
                     and (entity_kind = any($8)
                          or (entity_kind = any($9)
                              and exists (select from activity_owner as owner
                                          where owner.account = $2 and owner.entity_id = looked.owner_id
                                            and owner.responsible = $10)))
                     and (cardinality($11::text[]) = 0 or type = any($11))
                     and ($12::boolean or not key_action)
                     and ($13::text is null or actor = $13)
                     and ($14::text is null or actor_kind = $14)
                     and ($15::uuid is null or chat_id = $15)
                     and ($16::text is null or entity_kind = $16)
                   order by time desc, event_id desc limit $17) as found
               order by found.time desc, found.event_id desc limit $17"#,
            &$values,
            $account.as_str(),
            $after.0,
            $after.1,
            since,
            look,
            $reach.channels.as_deref(),
            &kinds(&$reach.all),
            &kinds(&$reach.own),
            $reach.agent.map(Uuid::from),
            &$filter.types,
            $filter.with_key_actions(),
            $filter.actor.as_deref(),
            $filter.actor_kind.as_deref(),
            $filter.chat.map(Uuid::from),
            $filter.entity_kind.map(EntityKind::as_str),
            $limit,
        )
        .fetch_all(&mut *$connection)
        .await?;
        let complete = $each.is_none() || ($values.len() == 1 && i64::try_from(rows.len()) == Ok($limit));
        if complete {
            return Ok(Found { rows, bound: None });
        }
        let bound = sqlx::query!(
            r#"select last.time as "time!", last.event_id as "event!"
               from unnest($1::text[]) as wanted (value)
               cross join lateral (
                   select time, event_id from activity
                   where account = $2 and (time, event_id) < ($3, $4) and time >= $5 and "# + $by + r#"
                   order by time desc, event_id desc offset $6 limit 1) as last
               order by last.time desc, last.event_id desc limit 1"#,
            &$values,
            $account.as_str(),
            $after.0,
            $after.1,
            since,
            look - 1,
        )
        .fetch_optional(&mut *$connection)
        .await?;
        (rows, bound.map(|last| (last.time, last.event)))
    }};
}

/// Lists what happened after a position, as far as it is asked for and reached; `limit` is one more than the page has.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
    reach: &Reach,
    after: Position,
    limit: i64,
) -> Result<Found, sqlx::Error> {
    let (by, values) = filter.narrowest();
    let looks = reach.is_narrowed() || filter.looks_at_each(by);
    let each =
        looks.then(|| (LOOKED / i64::try_from(values.len()).unwrap_or(1).max(1)).max(LOOKED_MIN));
    macro_rules! by {
        ($by:literal) => {
            found!(
                $by, connection, account, filter, reach, values, after, limit, each
            )
        };
    }
    // Several statements and not one with an `or`: each has its own index.
    let (mut rows, bound) = match by {
        By::Entity => by!("entity_id = wanted.value::uuid"),
        By::Chat => by!("chat_id = wanted.value::uuid"),
        By::Actor => by!("actor = wanted.value"),
        By::Type => by!("type = wanted.value"),
        By::ActorKind => by!("actor_kind = wanted.value"),
        By::KeyAction => by!("key_action = wanted.value::boolean"),
    };
    if let Some(bound) = bound {
        // What lies behind was not looked at in all groups: the next page does.
        rows.retain(|row| row.position() >= bound);
    }
    Ok(Found { rows, bound })
}

fn kinds(kinds: &[&str]) -> Vec<String> {
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_found_by_the_narrowest_of_what_is_asked_for() {
        let id = Uuid::from_u128(1);
        let asked = Filter::default;
        for (filter, by, values, looks) in [
            (asked(), By::KeyAction, &["false"][..], false),
            (
                Filter {
                    key_actions: true,
                    ..asked()
                },
                By::KeyAction,
                &["false", "true"],
                false,
            ),
            (
                Filter {
                    types: vec!["a.b".into(), "c.d".into()],
                    ..asked()
                },
                By::Type,
                &["a.b", "c.d"],
                false,
            ),
            (
                Filter {
                    types: vec!["a.b".into()],
                    actor_kind: Some("agent".into()),
                    ..asked()
                },
                By::Type,
                &["a.b"],
                true,
            ),
            (
                Filter {
                    actor_kind: Some("agent".into()),
                    ..asked()
                },
                By::ActorKind,
                &["agent"],
                true,
            ),
            (
                Filter {
                    actor: Some("rule:x".into()),
                    key_actions: true,
                    ..asked()
                },
                By::Actor,
                &["rule:x"],
                false,
            ),
            (
                Filter {
                    entity: Some(id),
                    chat: Some(id.into()),
                    key_actions: true,
                    ..asked()
                },
                By::Entity,
                &["00000000-0000-0000-0000-000000000001"],
                true,
            ),
            (
                Filter {
                    entity_kind: Some(EntityKind::Card),
                    ..asked()
                },
                By::KeyAction,
                &["false"],
                true,
            ),
        ] {
            let (found, looked_for) = filter.narrowest();
            assert_eq!(found, by, "{filter:?}");
            assert_eq!(looked_for, values, "{filter:?}");
            assert_eq!(filter.looks_at_each(by), looks, "{filter:?}");
        }
    }
}
