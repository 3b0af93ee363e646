//! What agents ask of chats and messages.

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use switchboard_proto::conversation::v1::chat::State;
use switchboard_proto::conversation::v1::list_chats_request::ReadState;
use switchboard_proto::conversation::v1::notification_service_client::NotificationServiceClient;
use switchboard_proto::conversation::v1::search_service_client::SearchServiceClient;
use switchboard_proto::conversation::v1::{
    GetChatRequest, ListChatsRequest, ListConversationsRequest, ListMessagesRequest,
    ListNotificationsRequest, SearchMessagesRequest,
};
use tonic::Status;
use uuid::Uuid;

use super::fill::{self, CHAT, MESSAGES, VOCABULARY};
use crate::world::{Authorised, Clients};

/// Who asks, and of what.
pub struct Field {
    pub clients: Clients,
    pub search: SearchServiceClient<Authorised>,
    pub notifications: NotificationServiceClient<Authorised>,
    pub chats: u32,
    pub agents: Vec<Uuid>,
    /// The last one is quiet: see [`fill::Filling`].
    pub channels: Vec<Uuid>,
    /// The token of a later page of all chats.
    pub later: String,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Chats(Chats),
    Chat,
    Messages,
    MessagesAround,
    Conversations,
    Notifications,
    Search(Search),
}

/// Lists of chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chats {
    Newest,
    LaterPage,
    Unassigned,
    Active,
    Inactive,
    OfChannel,
    ActiveOfQuietChannel,
    Mine,
    OfAgent,
    OfNobody,
    Unanswered,
    UnansweredOfQuietChannel,
    Unread,
    UnreadOfAgent,
    Snoozed,
    Labelled,
    ByName,
    ByNick,
    ByFirstName,
    ByCommonWord,
}

/// Searches for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    Number,
    RareWord,
    CommonWord,
    TwoWords,
    Phrase,
    OfChannel,
    OfChat,
    Beginning,
}

/// How often each question is asked in one round: one of ten is a search of messages.
pub const fn turns(question: Question) -> u32 {
    match question {
        Question::Search(_) => 1,
        _ => 3,
    }
}

/// All questions.
pub const ALL: [(Question, &str); 33] = [
    (Question::Chats(Chats::Newest), "chats"),
    (Question::Chats(Chats::LaterPage), "a later page"),
    (Question::Chats(Chats::Unassigned), "unassigned"),
    (Question::Chats(Chats::Active), "active"),
    (Question::Chats(Chats::Inactive), "inactive"),
    (Question::Chats(Chats::OfChannel), "of a channel"),
    (
        Question::Chats(Chats::ActiveOfQuietChannel),
        "active, of a quiet channel",
    ),
    (Question::Chats(Chats::Mine), "own open chats"),
    (Question::Chats(Chats::OfAgent), "of an agent"),
    (Question::Chats(Chats::OfNobody), "of nobody"),
    (Question::Chats(Chats::Unanswered), "unanswered"),
    (
        Question::Chats(Chats::UnansweredOfQuietChannel),
        "unanswered, of a quiet channel",
    ),
    (Question::Chats(Chats::Unread), "unread"),
    (Question::Chats(Chats::UnreadOfAgent), "unread, of an agent"),
    (Question::Chats(Chats::Snoozed), "snoozed"),
    (Question::Chats(Chats::Labelled), "with a label"),
    (Question::Chats(Chats::ByName), "by name"),
    (Question::Chats(Chats::ByNick), "by nick"),
    (Question::Chats(Chats::ByFirstName), "by first name (0.2 %)"),
    (Question::Chats(Chats::ByCommonWord), "by what all have"),
    (Question::Chat, "a chat"),
    (Question::Messages, "messages of a chat"),
    (Question::MessagesAround, "messages around one"),
    (Question::Conversations, "conversations of a chat"),
    (Question::Notifications, "notifications"),
    (Question::Search(Search::Number), "search: a number"),
    (Question::Search(Search::RareWord), "search: a rare word"),
    (
        Question::Search(Search::CommonWord),
        "search: a word of half of all",
    ),
    (Question::Search(Search::TwoWords), "search: two words"),
    (Question::Search(Search::Phrase), "search: a phrase"),
    (Question::Search(Search::OfChannel), "search: in a channel"),
    (Question::Search(Search::OfChat), "search: in a chat"),
    (
        Question::Search(Search::Beginning),
        "search: beginning of a word",
    ),
];

impl Field {
    /// Asks one question about something by chance.
    pub async fn ask(&self, question: Question) -> Result<(), Status> {
        let chat = rand::rng().random_range(1..=self.chats);
        let chat_id = fill::id(CHAT, chat).to_string();
        let mut conversation = self.clients.conversation.clone();
        match question {
            Question::Chats(chats) => conversation
                .list_chats(self.list(chats, chat))
                .await
                .map(drop),
            Question::Chat => conversation
                .get_chat(GetChatRequest { chat_id })
                .await
                .map(drop),
            Question::Messages => {
                let request = ListMessagesRequest {
                    chat_id,
                    ..Default::default()
                };
                let found = conversation.list_messages(request).await?.into_inner();
                some(found.messages.len(), &"messages of a chat")
            }
            Question::MessagesAround => {
                let request = ListMessagesRequest {
                    chat_id: chat_id.clone(),
                    ..Default::default()
                };
                let found = conversation.list_messages(request).await?.into_inner();
                let one = found
                    .messages
                    .get(5)
                    .map(|message| message.message_id.clone());
                let request = ListMessagesRequest {
                    chat_id,
                    around_message_id: one.unwrap_or_default(),
                    ..Default::default()
                };
                conversation.list_messages(request).await.map(drop)
            }
            Question::Conversations => {
                let request = ListConversationsRequest {
                    chat_id,
                    ..Default::default()
                };
                conversation.list_conversations(request).await.map(drop)
            }
            Question::Notifications => {
                let request = ListNotificationsRequest::default();
                self.notifications
                    .clone()
                    .list_notifications(request)
                    .await
                    .map(drop)
            }
            Question::Search(search) => {
                let request = self.search(search, chat);
                let found = self.search.clone().search_messages(request.clone()).await?;
                // Rare words may be nobody's.
                let certain = matches!(
                    search,
                    Search::Number | Search::CommonWord | Search::OfChannel
                );
                if certain {
                    some(found.into_inner().hits.len(), &request)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn list(&self, chats: Chats, chat: u32) -> ListChatsRequest {
        let mut random = rand::rng();
        let of = |ids: &[Uuid]| {
            ids.choose(&mut rand::rng())
                .map(Uuid::to_string)
                .unwrap_or_default()
        };
        let quiet = || {
            self.channels
                .last()
                .map(Uuid::to_string)
                .unwrap_or_default()
        };
        let tab = |state: State| vec![state.into()];
        let nothing = ListChatsRequest::default();
        match chats {
            Chats::Newest => nothing,
            Chats::LaterPage => ListChatsRequest {
                page_token: self.later.clone(),
                ..nothing
            },
            Chats::Unassigned => ListChatsRequest {
                states: tab(State::Unassigned),
                ..nothing
            },
            Chats::Active => ListChatsRequest {
                states: tab(State::Active),
                ..nothing
            },
            Chats::Inactive => ListChatsRequest {
                states: tab(State::Inactive),
                ..nothing
            },
            Chats::OfChannel => ListChatsRequest {
                channel_id: of(&self.channels),
                ..nothing
            },
            Chats::ActiveOfQuietChannel => ListChatsRequest {
                channel_id: quiet(),
                states: tab(State::Active),
                ..nothing
            },
            Chats::Mine => ListChatsRequest {
                mine: true,
                ..nothing
            },
            Chats::OfAgent => ListChatsRequest {
                responsible: of(&self.agents),
                ..nothing
            },
            Chats::OfNobody => ListChatsRequest {
                responsible: "none".into(),
                ..nothing
            },
            Chats::Unanswered => ListChatsRequest {
                unanswered_only: true,
                ..nothing
            },
            Chats::UnansweredOfQuietChannel => ListChatsRequest {
                channel_id: quiet(),
                unanswered_only: true,
                ..nothing
            },
            Chats::Unread => ListChatsRequest {
                read_state: ReadState::Unread.into(),
                ..nothing
            },
            Chats::UnreadOfAgent => ListChatsRequest {
                read_state: ReadState::Unread.into(),
                responsible: of(&self.agents),
                ..nothing
            },
            Chats::Snoozed => ListChatsRequest {
                snoozed: Some(true),
                ..nothing
            },
            Chats::Labelled => ListChatsRequest {
                label: "vip".into(),
                ..nothing
            },
            Chats::ByName => ListChatsRequest {
                text: format!("First{} Last{}", chat % 500, chat / 500 % 5_000),
                ..nothing
            },
            Chats::ByNick => ListChatsRequest {
                text: format!("nick{chat}"),
                ..nothing
            },
            Chats::ByFirstName => ListChatsRequest {
                text: format!("first{}", random.random_range(100..500)),
                ..nothing
            },
            Chats::ByCommonWord => ListChatsRequest {
                text: "first".into(),
                ..nothing
            },
        }
    }

    fn search(&self, search: Search, chat: u32) -> SearchMessagesRequest {
        let mut random = rand::rng();
        let mut word = |from: u32| format!("word{:05}", random.random_range(from..VOCABULARY - 1));
        let text = match search {
            Search::Number => fill::number(chat, chat % MESSAGES),
            Search::RareWord => word(VOCABULARY / 2),
            Search::CommonWord | Search::OfChannel | Search::OfChat => "word00000".to_owned(),
            Search::TwoWords => format!("word00001 {}", word(VOCABULARY / 10)),
            Search::Phrase => "\"word00000 word00001\"".to_owned(),
            Search::Beginning => format!("word{:03}", chat % 200),
        };
        let nothing = SearchMessagesRequest {
            text,
            ..Default::default()
        };
        match search {
            Search::OfChannel => SearchMessagesRequest {
                channel_id: self
                    .channels
                    .choose(&mut rand::rng())
                    .map(Uuid::to_string)
                    .unwrap_or_default(),
                ..nothing
            },
            Search::OfChat => SearchMessagesRequest {
                chat_id: fill::id(CHAT, chat).to_string(),
                ..nothing
            },
            _ => nothing,
        }
    }
}

/// What must be there was found.
fn some(found: usize, what: &dyn std::fmt::Debug) -> Result<(), Status> {
    if found == 0 {
        return Err(Status::not_found(format!("nothing was found of {what:?}")));
    }
    Ok(())
}
