//! Lists of open chats, and of the chats of few channels, also the unanswered ones, from indexes of their own: a list through all
//! chats would look at each of a million ended ones where few are open, or where the channel is a small one.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{END, Narrowing, Position, Row, Whose};
use crate::domain::words::ChatState;
use crate::domain::{AgentId, ChannelId, ChatId, ClientId, ConversationId, MessageId};

/// Channels that are read one by one; the chats of more are looked for in the list of all.
const CHANNELS_MAX: usize = 20;

impl Narrowing {
    /// Tells whether it asks for what has an index of its own in any state.
    fn is_flagged(&self) -> bool {
        self.waiting_only || self.is_rare()
    }

    /// Tells whether it asks for what has an index of its own, and none by channels.
    fn is_rare(&self) -> bool {
        self.unread == Some(true) || self.snoozed == Some(true)
    }

    /// The states, where only open chats are asked for.
    pub(super) fn open(&self) -> Option<Vec<&'static str>> {
        let states = self.states.as_ref().filter(|_| !self.is_flagged())?;
        let all = [
            ChatState::Unassigned,
            ChatState::Active,
            ChatState::Inactive,
        ];
        let asked = all.map(ChatState::as_str).into_iter();
        let asked: Vec<_> = asked
            .filter(|known| states.iter().any(|state| state == known))
            .collect();
        (!asked.contains(&ChatState::Inactive.as_str())).then_some(asked)
    }

    /// The same, of all channels: who lists them one by one has said which.
    fn without_channels(&self) -> Self {
        Self {
            granted: None,
            channel: None,
            ..self.clone()
        }
    }

    /// The channels, where they are few.
    pub(super) fn few_channels(&self) -> Option<Vec<Uuid>> {
        let granted = self.granted.as_ref();
        let channels = match self.channel.map(ChannelId::uuid) {
            Some(channel) => {
                let seen = granted.is_none_or(|granted| granted.contains(&channel));
                seen.then_some(channel).into_iter().collect()
            }
            None => granted.cloned()?,
        };
        (channels.len() <= CHANNELS_MAX && !self.is_rare()).then_some(channels)
    }
}

/// Orders what several statements brought, and leaves a page of it.
pub(super) fn merge(rows: &mut Vec<Row>, limit: i64) {
    rows.sort_by_key(|row| std::cmp::Reverse((row.last_client_message_at, row.id)));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
}

macro_rules! list_by_channel {
    ($whose:literal, $($rest:tt)+) => {
        list_chats_of!(
            "where chat_id = any(array(
                 select chat_id
                 from unnest($12::uuid[]) as among (channel)
                 cross join lateral (select chat_id, last_client_message_at from chat",
            "last_client_message_at",
            "chat_id",
            ") newest order by last_client_message_at desc, chat_id desc limit $8))
             order by last_client_message_at desc, chat_id desc",
            $whose,
            $($rest)+
        )
    };
}

/// Lists the chats of few channels, whatever their states.
pub(super) async fn of_channels(
    connection: &mut PgConnection,
    account: &AccountSlug,
    narrowing: &Narrowing,
    channels: &[Uuid],
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let narrowing = &narrowing.without_channels();
    list_by_channel!(
        "and channel_id = among.channel",
        account,
        narrowing,
        after,
        limit,
        channels
    )
    .fetch_all(connection)
    .await
}

/// Lists open chats in one of these states.
pub(super) async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (narrowing, states): (&Narrowing, &[&str]),
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut rows = Vec::new();
    let nobodys = whose == Whose::Nobodys;
    let channels = narrowing.few_channels();
    // What is said twice, once as a set, would take the order from the index.
    let mut narrowing = Narrowing {
        states: None,
        ..narrowing.clone()
    };
    if channels.is_some() && !matches!(whose, Whose::Of(_) | Whose::WorkedBy(_)) {
        narrowing = narrowing.without_channels();
    }
    let narrowing = &narrowing;
    for state in states {
        let found = match (whose, &channels) {
            (Whose::Of(agent) | Whose::WorkedBy(agent), _) => {
                list_chats!(
                    "and state <> 'inactive' and state = $12 and responsible = $13",
                    account,
                    narrowing,
                    after,
                    limit,
                    *state,
                    agent as AgentId
                )
                .fetch_all(&mut *connection)
                .await?
            }
            (_, Some(channels)) => {
                list_by_channel!(
                    "and channel_id = among.channel and state <> 'inactive' and state = $13
                     and (not $14::bool or responsible is null)",
                    account,
                    narrowing,
                    after,
                    limit,
                    channels,
                    *state,
                    nobodys
                )
                .fetch_all(&mut *connection)
                .await?
            }
            (_, None) => {
                list_chats!(
                    "and state <> 'inactive' and state = $12 and (not $13::bool or responsible is null)",
                    account,
                    narrowing,
                    after,
                    limit,
                    *state,
                    nobodys
                )
                .fetch_all(&mut *connection)
                .await?
            }
        };
        rows.extend(found);
    }
    merge(&mut rows, limit);
    Ok(rows)
}
