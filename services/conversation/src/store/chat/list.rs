//! Lists of chats, newest first (D07), a page at a time.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Row, chats};
use crate::domain::chat::Chat;
use crate::domain::label;
use crate::domain::words::ChatState;
use crate::domain::{AgentId, ChannelId, ChatId, ClientId, ConversationId, MessageId};
use crate::store::assignment;

/// What a list of chats is narrowed to. None means all.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// Channels that the caller was granted.
    pub granted: Option<Vec<Uuid>>,
    /// One channel (F077).
    pub channel: Option<ChannelId>,
    /// States (F074).
    pub states: Option<Vec<String>>,
    /// Only chats whose clients wait for an answer (F076).
    pub waiting_only: bool,
    /// Only chats that are unread, or are not (F209).
    pub unread: Option<bool>,
    /// Only chats that are snoozed, or are not (B13).
    pub snoozed: Option<bool>,
    /// Only chats with a label, by its key (B13).
    pub label: Option<String>,
    /// Only chats with these words, a `tsquery` (F075). Lists alone ask for it.
    pub words: Option<String>,
}

impl Narrowing {
    /// Tells whether it leaves a chat, as lists do.
    pub fn holds(&self, chat: &Chat) -> bool {
        let among = |some: &Option<Vec<Uuid>>| {
            let channel = chat.channel.uuid();
            some.as_ref().is_none_or(|some| some.contains(&channel))
        };
        let states = self.states.as_ref();
        among(&self.granted)
            && self.channel.is_none_or(|channel| channel == chat.channel)
            && states.is_none_or(|states| states.iter().any(|state| state == chat.state.as_str()))
            && (!self.waiting_only || chat.waiting && !chat.spam)
            && self.unread.is_none_or(|unread| unread == chat.unread)
            && self
                .snoozed
                .is_none_or(|snoozed| snoozed == chat.snooze.is_some())
            && self
                .label
                .as_ref()
                .is_none_or(|wanted| chat.labels.iter().any(|label| label::key(label) == *wanted))
    }
}

/// Whose chats are listed (F078).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those without a responsible.
    Nobodys,
    /// One agent's.
    Of(AgentId),
    /// Open chats that an agent answers for or has joined (F127, F150).
    WorkedBy(AgentId),
}

impl Whose {
    /// Tells whether a chat is one of these, as lists do; `joined` tells whether an agent has joined it beside its responsible.
    pub fn holds(self, chat: &Chat, joined: impl Fn(AgentId) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Nobodys => chat.responsible.is_none(),
            Self::Of(agent) => chat.responsible == Some(agent),
            Self::WorkedBy(agent) => match chat.responsible {
                Some(responsible) if responsible == agent => chat.state == ChatState::Active,
                Some(_) => joined(agent),
                None => false,
            },
        }
    }
}

/// Where a page begins: after the chat with this time and id.
pub type Position = (OffsetDateTime, ChatId);

/// After every chat: where the first page begins. A condition that is always there keeps the statement on its index
/// whether or not the server plans it anew.
const END: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999999 UTC);

macro_rules! list_chats_of {
    ($open:literal, $time:literal, $id:literal, $close:literal, $whose:literal, $account:expr, $narrowing:expr, $after:expr, $limit:expr
     $(, $argument:expr)*) => {{
        let (time, id) = $after.unwrap_or((END, ChatId::from(Uuid::max())));
        select_chats!(
            $open " where account = $1
               and (" $time ", " $id ") < ($2, $3)
               and ($4::uuid[] is null or channel_id = any($4))
               and ($5::uuid is null or channel_id = $5)
               and ($6::text[] is null or state = any($6))
               and (not $7::bool or waiting and not spam)
               and ($9::bool is null or unread = $9)
               and ($10::bool is null or snoozed = $10)
               and ($11::text is null
                    or (select (own || crm) @@ $11::text::tsquery from chat_words w where w.chat_id = chat.chat_id)) " $whose "
             order by " $time " desc, " $id " desc limit $8" $close,
            $account.as_str(),
            time,
            id as ChatId,
            $narrowing.granted.as_deref(),
            $narrowing.channel as Option<ChannelId>,
            $narrowing.states.as_deref(),
            $narrowing.waiting_only,
            $limit,
            $narrowing.unread,
            $narrowing.snoozed,
            $narrowing.words.as_deref()
            $(, $argument)*
        )
    }};
}

macro_rules! list_chats {
    ($($rest:tt)+) => {
        list_chats_of!("", "last_client_message_at", "chat_id", "", $($rest)+)
    };
}

// After the macros, which it uses.
mod found;
mod open;

/// Lists chats by last client message, newest first (D07).
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    narrowing: &Narrowing,
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Chat>, sqlx::Error> {
    if let Some(label) = &narrowing.label {
        return labelled(connection, account, (narrowing, label), whose, after, limit).await;
    }
    if let Some(words) = &narrowing.words {
        let newest =
            found::among_newest(connection, account, narrowing, whose, after, limit).await?;
        if i64::try_from(newest.len()) == Ok(limit) {
            return chats(newest);
        }
        let narrowing = (narrowing, words.as_str());
        if let Some(rows) = found::list(connection, account, narrowing, whose, after, limit).await?
        {
            return chats(rows);
        }
    }
    if let (Some(states), true) = (narrowing.open(), !matches!(whose, Whose::WorkedBy(_))) {
        let narrowing = (narrowing, states.as_slice());
        return chats(open::list(connection, account, narrowing, whose, after, limit).await?);
    }
    if let (Whose::All, Some(channels)) = (whose, narrowing.few_channels()) {
        return chats(
            open::of_channels(connection, account, narrowing, &channels, after, limit).await?,
        );
    }
    // Several statements and not one with an `or`: each has its own index.
    let rows = match whose {
        Whose::All => {
            list_chats!("", account, narrowing, after, limit)
                .fetch_all(connection)
                .await?
        }
        Whose::Nobodys => {
            list_chats!("and responsible is null", account, narrowing, after, limit)
                .fetch_all(connection)
                .await?
        }
        Whose::WorkedBy(agent) => {
            let active = ChatState::Active.as_str();
            let states = narrowing.states.as_ref();
            let asked = states.is_none_or(|states| states.iter().any(|state| state == active));
            let own = (narrowing, &[active][..usize::from(asked)]);
            let mut rows = open::list(connection, account, own, whose, after, limit).await?;
            let joined = assignment::joined(connection, account, agent).await?;
            if !joined.is_empty() {
                let joined = list_chats!(
                    "and chat_id = any($12) and responsible <> $13",
                    account,
                    narrowing,
                    after,
                    limit,
                    &joined as &[ChatId],
                    agent as AgentId
                );
                rows.extend(joined.fetch_all(connection).await?);
                open::merge(&mut rows, limit);
            }
            rows
        }
        Whose::Of(agent) => {
            list_chats!(
                "and responsible = $12",
                account,
                narrowing,
                after,
                limit,
                agent as AgentId
            )
            .fetch_all(connection)
            .await?
        }
    };
    chats(rows)
}

/// Lists chats with a label (B13). A label's chats come in their order from its own index, and each is looked at: the server is not
/// left the choice to begin with the chats (`offset 0`), of which it knows too little.
async fn labelled(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (narrowing, label): (&Narrowing, &str),
    whose: Whose,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Chat>, sqlx::Error> {
    let (mut of, mut by, mut joined) = (None, None, Vec::new());
    match whose {
        Whose::All | Whose::Nobodys => {}
        Whose::Of(agent) => of = Some(agent),
        Whose::WorkedBy(agent) => {
            by = Some(agent);
            joined = assignment::joined(connection, account, agent).await?;
        }
    }
    let rows = list_chats_of!(
        "where chat_id = any(array(
             select chat_id
             from (select listed_at, chat_id as labelled from chat_label where account = $1 and key = $12) l
             cross join lateral (select * from chat where chat_id = labelled offset 0) chat",
        "listed_at",
        "labelled",
        ")) order by last_client_message_at desc, chat_id desc",
        "and (not $13::bool or responsible is null) and ($14::uuid is null or responsible = $14)
         and ($15::uuid is null or responsible = $15 and state = 'active'
              or chat_id = any($16) and responsible <> $15)",
        account,
        narrowing,
        after,
        limit,
        label,
        whose == Whose::Nobodys,
        of as Option<AgentId>,
        by as Option<AgentId>,
        &joined as &[ChatId]
    );
    chats(rows.fetch_all(connection).await?)
}
