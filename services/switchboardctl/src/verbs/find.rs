//! "Where is my customer's message?": from a text, a phone or a provider's id through all services.

mod letters;
mod trail;

use std::collections::BTreeSet;

use clap::Args;
use futures::future::join_all;
use switchboard_proto::channel_gateway::v1::{
    Delivery, ListChannelsRequest, ListDeliveriesRequest,
};
use switchboard_proto::conversation::v1::{
    Chat, FindMessagesRequest, ListChatsRequest, ListMessagesRequest, Message,
    SearchMessagesRequest, StoredMessage, message,
};
use switchboard_proto::crm_cards::v1::{
    ListContactsRequest, ListEntityChatsRequest, list_entity_chats_request::Entity,
};
use switchboard_proto::operator::v1::DeadLetter;
use uuid::Uuid;

use super::explain::{self, Why};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Show, View, json, note, say};
use crate::token::Role;

/// Messages of a chat that was found by its client: the newest are meant.
const OF_CHAT: i32 = 3;

/// Messages that one request asks for at most.
const NAMED: usize = 200;

/// What is looked for.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  switchboardctl find 'size 42'\n  switchboardctl find +380441234567\n  switchboardctl find 5550001/17"
)]
pub(crate) struct FindArgs {
    /// Words of the message, a phone, a name, an address, a provider's id of the message, or an id of ours
    #[arg(required = true, value_name = "TEXT", value_parser = sought)]
    words: Vec<String>,
    /// So many messages at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
    limit: u16,
}

/// What can be looked for: empty text is no key and no word of anything.
fn sought(text: &str) -> Result<String, &'static str> {
    if text.chars().any(char::is_alphanumeric) {
        Ok(text.to_owned())
    } else {
        Err("must have a letter or a digit: words of the message, a phone, or an id")
    }
}

/// All that is known of a message.
pub(crate) struct Known {
    /// The message, with when it was stored.
    pub stored: StoredMessage,
    /// Why there is a card, and why this agent.
    pub why: Option<Why>,
    /// What became of it at the provider.
    pub deliveries: Vec<Delivery>,
    /// What could not be handled of it, or of its chat.
    pub letters: Vec<DeadLetter>,
}

impl Show for StoredMessage {
    const NAME: &'static str = "switchboard.conversation.v1.StoredMessage";
    const HEADERS: &'static [&'static str] = &["ID"];
    fn cells(&self, _: &View) -> Vec<crate::output::Cell> {
        vec![crate::output::cell(
            self.message
                .as_ref()
                .map(|message| message.message_id.as_str())
                .unwrap_or_default(),
        )]
    }
}

/// Runs the verb.
pub(crate) async fn run(args: FindArgs, session: &Session, mut view: View) -> Result<(), CliError> {
    let text = args.words.join(" ");
    view.learn_names(session).await;
    let (stored, letters) = tokio::join!(
        messages(session, &text, args.limit.into()),
        letters::about(session, &text)
    );
    let stored = stored?;
    // Letters need an operator's token: whoever has none is told so, and sees the rest.
    let (letters, unread) = match letters {
        Ok(letters) => (letters, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let known = join_all(stored.into_iter().map(|one| known(session, one, &letters))).await;
    let known: Vec<Known> = known.into_iter().collect::<Result<_, _>>()?;
    // A letter of what was never stored is the answer by itself.
    let told: BTreeSet<u64> = known
        .iter()
        .flat_map(|one| &one.letters)
        .map(|letter| letter.sequence)
        .collect();
    let alone: Vec<&DeadLetter> = letters
        .iter()
        .filter(|letter| !told.contains(&letter.sequence))
        .collect();
    if view.is_table() {
        print(&known, &alone, &view);
        if let Some(why) = unread {
            note!("dead letters were not looked at: {why}");
        }
        if known.is_empty() && alone.is_empty() {
            note!("nothing found: no message and no dead letter");
            note!(
                "  try: `switchboardctl channel list` tells when each channel was last written to; `status` what waits"
            );
        }
    } else {
        let mut values = known.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        for letter in &alone {
            values.push(serde_json::json!({ "deadLetters": [json::value(*letter)?] }));
        }
        view.values(values);
    }
    view.judge_empty(known.is_empty() && alone.is_empty())
}

fn print(known: &[Known], alone: &[&DeadLetter], view: &View) {
    let mut lines = Vec::new();
    for one in known {
        lines.extend(trail::render(one, view, view.width()));
    }
    if !alone.is_empty() {
        lines.extend(trail::letters(alone, view, view.width()));
    }
    for line in lines {
        say!("{line}");
    }
}

fn value(known: &Known) -> Result<serde_json::Value, CliError> {
    let mut value = json::value(&known.stored)?;
    let decision = known.why.as_ref().and_then(|why| why.decision.as_ref());
    let choices = known.why.iter().flat_map(|why| &why.choices);
    let choices: Vec<_> = choices.map(json::value).collect::<Result<_, _>>()?;
    let deliveries: Vec<_> = known
        .deliveries
        .iter()
        .map(json::value)
        .collect::<Result<_, _>>()?;
    let letters: Vec<_> = known
        .letters
        .iter()
        .map(json::value)
        .collect::<Result<_, _>>()?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert(
            "decision".into(),
            decision.map(json::value).transpose()?.into(),
        );
        fields.insert("choices".into(), choices.into());
        fields.insert("deliveries".into(), deliveries.into());
        fields.insert("deadLetters".into(), letters.into());
    }
    Ok(value)
}

/// The messages that are meant: by a key or an id first, which name one; then by words; then the newest of the chats of
/// whoever has that name, phone or address.
async fn messages(
    session: &Session,
    text: &str,
    limit: usize,
) -> Result<Vec<StoredMessage>, CliError> {
    let (keyed, worded, chats) = tokio::join!(
        by_key(session, text),
        by_words(session, text, limit),
        chats(session, text, limit)
    );
    let mut found = keyed?;
    let mut ids = worded?;
    if found.is_empty() && ids.is_empty() {
        let newest = join_all(chats?.into_iter().map(|chat| newest(session, chat))).await;
        for of_chat in newest {
            ids.extend(of_chat?);
        }
    }
    let known: BTreeSet<String> = found.iter().map(id).collect();
    ids.retain(|id| !known.contains(id));
    ids.truncate(limit.saturating_sub(found.len()));
    if !ids.is_empty() {
        let request = FindMessagesRequest {
            message_ids: ids,
            ..FindMessagesRequest::default()
        };
        let mut client = session.search(&session.role().await?).await?;
        found.extend(client.find_messages(request).await?.into_inner().messages);
    }
    found.truncate(limit);
    Ok(found)
}

fn id(stored: &StoredMessage) -> String {
    stored
        .message
        .as_ref()
        .map(|message| message.message_id.clone())
        .unwrap_or_default()
}

/// The messages that a provider, or we, know by exactly this.
async fn by_key(session: &Session, text: &str) -> Result<Vec<StoredMessage>, CliError> {
    let mut client = session.search(&session.role().await?).await?;
    if text.parse::<Uuid>().is_ok() {
        let request = FindMessagesRequest {
            message_ids: vec![text.to_owned()],
            ..FindMessagesRequest::default()
        };
        return Ok(client.find_messages(request).await?.into_inner().messages);
    }
    let mut gateway = session.channel_gateway(&Role::Account).await?;
    let request = ListChannelsRequest {
        page_size: 200,
        ..ListChannelsRequest::default()
    };
    let channels = gateway.list_channels(request).await?.into_inner().channels;
    if channels.is_empty() {
        return Ok(Vec::new());
    }
    let request = FindMessagesRequest {
        provider_key: text.to_owned(),
        channel_ids: channels
            .into_iter()
            .map(|channel| channel.channel_id)
            .take(NAMED)
            .collect(),
        ..FindMessagesRequest::default()
    };
    Ok(client.find_messages(request).await?.into_inner().messages)
}

/// Ids of the messages that have these words, the best first.
async fn by_words(session: &Session, text: &str, limit: usize) -> Result<Vec<String>, CliError> {
    let mut client = session.search(&session.role().await?).await?;
    let request = SearchMessagesRequest {
        text: text.to_owned(),
        page_size: i32::try_from(limit).unwrap_or(5),
        ..SearchMessagesRequest::default()
    };
    match client.search_messages(request).await {
        Ok(answer) => {
            let hits = answer.into_inner().hits.into_iter();
            Ok(hits
                .filter_map(|hit| Some(hit.message?.message_id))
                .collect())
        }
        // What has no word that can be searched for has none.
        Err(status) if status.code() == tonic::Code::InvalidArgument => Ok(Vec::new()),
        Err(status) => Err(status.into()),
    }
}

/// Chats of whoever has this name, nick, phone or address; and those of contacts with that phone.
async fn chats(session: &Session, text: &str, limit: usize) -> Result<Vec<Chat>, CliError> {
    let role = session.role().await?;
    let size = i32::try_from(limit).unwrap_or(5);
    let mut conversation = session.conversation(&role).await?;
    let request = ListChatsRequest {
        text: text.to_owned(),
        page_size: size,
        ..ListChatsRequest::default()
    };
    let mut chats = conversation.list_chats(request).await?.into_inner().chats;
    if chats.is_empty() && is_phone(text) {
        let mut crm = session.crm_cards(&role).await?;
        let request = ListContactsRequest {
            phone: text.to_owned(),
            page_size: 5,
            ..ListContactsRequest::default()
        };
        let contacts = match crm.list_contacts(request).await {
            Ok(answer) => answer.into_inner().contacts,
            // No phone of this account's form.
            Err(status) if status.code() == tonic::Code::InvalidArgument => Vec::new(),
            Err(status) => return Err(status.into()),
        };
        let mut of_entities = session.entity_chats(&role).await?;
        for contact in contacts {
            let request = ListEntityChatsRequest {
                entity: Some(Entity::ContactId(contact.contact_id)),
                page_size: size,
                ..ListEntityChatsRequest::default()
            };
            chats.extend(
                of_entities
                    .list_entity_chats(request)
                    .await?
                    .into_inner()
                    .chats,
            );
        }
    }
    Ok(chats)
}

/// Whether a text can be a phone.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits >= 7
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "+-() ".contains(c))
}

/// Ids of the newest messages of a chat that clients or agents wrote.
async fn newest(session: &Session, chat: Chat) -> Result<Vec<String>, CliError> {
    let mut client = session.conversation(&session.role().await?).await?;
    let request = ListMessagesRequest {
        chat_id: chat.chat_id,
        page_size: 20,
        ..ListMessagesRequest::default()
    };
    let messages = client.list_messages(request).await?.into_inner().messages;
    let written = |message: &Message| {
        use message::Kind::{Agent, Bot, Client};
        matches!(message.kind(), Client | Agent | Bot)
    };
    let written = messages.into_iter().filter(written);
    let most = usize::try_from(OF_CHAT).unwrap_or(1);
    Ok(written
        .map(|message| message.message_id)
        .take(most)
        .collect())
}

/// All that is known of a message.
async fn known(
    session: &Session,
    stored: StoredMessage,
    letters: &[DeadLetter],
) -> Result<Known, CliError> {
    let message = stored.message.clone().unwrap_or_default();
    let (why, deliveries) = tokio::join!(
        explain::of_chat(session, &message.chat_id),
        deliveries(session, &message)
    );
    let why = why?
        .into_iter()
        .find(|why| why.conversation == message.conversation_id);
    let letters = letters
        .iter()
        .filter(|letter| letters::is_of(letter, &message));
    Ok(Known {
        why,
        deliveries: deliveries?,
        letters: letters.cloned().collect(),
        stored,
    })
}

/// What became of a message at the provider; nothing of what was not sent by us.
async fn deliveries(session: &Session, message: &Message) -> Result<Vec<Delivery>, CliError> {
    if message.delivery.is_none() {
        return Ok(Vec::new());
    }
    let mut client = session.channel_gateway(&session.role().await?).await?;
    let request = ListDeliveriesRequest {
        chat_id: message.chat_id.clone(),
        page_size: 200,
        ..ListDeliveriesRequest::default()
    };
    let answer = client.list_deliveries(request).await?.into_inner();
    let of_message = |delivery: &Delivery| delivery.message_id == message.message_id;
    Ok(answer.deliveries.into_iter().filter(of_message).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o303_nothing_is_not_looked_for() {
        for (text, fits) in [
            ("551", true),
            ("як?", true),
            ("", false),
            (" ", false),
            ("?!", false),
        ] {
            assert_eq!(sought(text).is_ok(), fits, "{text:?}");
        }
    }

    #[test]
    fn o303_a_phone_is_told_from_words() {
        for (text, phone) in [
            ("+380441234567", true),
            ("044 123-45-67", true),
            ("size 42", false),
            ("42", false),
            ("5550001/17", false),
        ] {
            assert_eq!(is_phone(text), phone, "{text}");
        }
    }
}
