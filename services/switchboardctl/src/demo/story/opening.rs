//! First scene: a new customer writes, and everything follows from it.

use serde_json::json;
use switchboard_proto::assignment::v1::AssignmentRule;
use switchboard_proto::conversation::v1::{Chat, Conversation, Message, message};
use switchboard_proto::crm_cards::v1::{Card, Decision, StatusKind, decision::Outcome};

use super::super::customer::chat_of;
use super::super::wait::{Seen, check, unexpected, until};
use super::read::plain_text;
use super::stage::{Player, Stage};
use crate::error::CliError;
use crate::output::words;
use crate::verbs::assignment::{candidate_text, rule};

/// What the scene leaves behind.
pub(crate) struct Opened {
    /// The chat.
    pub chat_id: String,
    /// The conversation.
    pub conversation: Conversation,
    /// The first message.
    pub first: Message,
    /// The card.
    pub card: Card,
    /// The agent who answers.
    pub agent: Player,
}

/// Plays the scene; returns what it left behind, and Telegram's id of the first message.
pub(crate) async fn play(stage: &mut Stage<'_>) -> Result<(Opened, i64), CliError> {
    stage.out.scene("A new customer writes");
    let text = "Good day! Is the red one still there in size 41?";
    stage.out.says(&stage.name, text);
    let delivered = stage
        .telegram
        .say(stage.customer, &json!({ "text": text }))
        .await?;
    stage.out.fact("accepted", &delivered.told());
    let message_id = delivered
        .message_id
        .ok_or_else(|| unexpected("a message id from the stand-in", "none"))?;

    let user_id = stage.customer.to_string();
    let opened = meet(stage, "telegram", &user_id, text).await?;
    Ok((opened, message_id))
}

/// Sees a new customer who has just written become a chat, a contact and a card with a responsible. `scope` is how the
/// kind of the customer's identity begins.
pub(crate) async fn meet(
    stage: &mut Stage<'_>,
    scope: &str,
    user_id: &str,
    text: &str,
) -> Result<Opened, CliError> {
    let chat = until(
        "a chat of the new customer with an open conversation",
        stage.patience,
        async || {
            Ok(
                match chat_of(stage.session, &stage.channel, user_id).await? {
                    Some(chat) if chat.open_conversation.is_some() => Seen::Yes(chat),
                    Some(chat) => Seen::NotYet(format!(
                        "a chat in state {}",
                        words::word(chat.state().as_str_name(), "STATE_")
                    )),
                    None => Seen::NotYet("no chat of this customer".into()),
                },
            )
        },
    )
    .await?;
    let conversation = chat.open_conversation.clone().unwrap_or_default();
    stage.about([
        chat.chat_id.as_str(),
        &chat.client_id,
        &conversation.conversation_id,
    ]);
    chat.chat_id.clone_into(&mut stage.chat_id);
    let client = chat.client.clone().unwrap_or_default();
    check(
        [&client.name, &client.username].contains(&&stage.name),
        "the customer's name on the chat",
        || client.name.clone(),
    )?;
    // Some have a nick, some a name, some both.
    let nick = match client.username.as_str() {
        "" => String::new(),
        nick => format!("@{nick}"),
    };
    let who = match (client.name.as_str(), nick.as_str()) {
        (name, "") => name.to_owned(),
        ("", nick) => nick.to_owned(),
        (name, nick) => format!("{name} ({nick})"),
    };
    stage
        .out
        .fact("chat", &format!("{} with {who}", chat.chat_id));
    stage
        .out
        .fact("conversation", &format!("#{} opened", conversation.number));

    let messages = stage.messages(&chat.chat_id, message::Kind::Client).await?;
    let texts: Vec<_> = messages.iter().map(plain_text).collect();
    check(
        texts == [text],
        "the customer's message, stored once",
        || format!("{texts:?}"),
    )?;
    stage.about(messages.iter().map(|message| message.message_id.as_str()));
    stage.out.fact("message", "stored once");

    let first = messages.into_iter().next().unwrap_or_default();

    contact(stage, &chat, scope, user_id).await?;
    let (card, _) = decided(stage, &conversation, None).await?;
    let agent = assigned(stage, &chat.chat_id, &conversation, &card).await?;
    Ok(Opened {
        chat_id: chat.chat_id,
        conversation,
        first,
        card,
        agent,
    })
}

async fn contact(
    stage: &mut Stage<'_>,
    chat: &Chat,
    scope: &str,
    user_id: &str,
) -> Result<(), CliError> {
    let contact = until("a contact linked to the chat", stage.patience, async || {
        Ok(match stage.connections(&chat.chat_id).await?.contact {
            Some(contact) => Seen::Yes(contact),
            None => Seen::NotYet("no contact".into()),
        })
    })
    .await?;
    let known = contact
        .identities
        .iter()
        .any(|identity| identity.scope.starts_with(scope) && identity.user_id == user_id);
    check(
        known,
        &format!("the customer's {scope} identity on the contact"),
        || format!("{:?}", contact.identities),
    )?;
    stage.about([contact.contact_id.as_str()]);
    stage.out.fact(
        "contact",
        &format!("{}, known by {scope}/{user_id}", contact.name),
    );
    Ok(())
}

/// Waits for the decision of a conversation and its card; `earlier` is a card that must not come again.
pub(crate) async fn decided(
    stage: &mut Stage<'_>,
    conversation: &Conversation,
    earlier: Option<&Card>,
) -> Result<(Card, Decision), CliError> {
    let number = conversation.number;
    let decision = until(
        &format!("a decision for conversation #{number}"),
        stage.patience,
        async || {
            Ok(match stage.decision(&conversation.conversation_id).await? {
                Some(decision) => Seen::Yes(decision),
                None => Seen::NotYet("none".into()),
            })
        },
    )
    .await?;
    let outcome = words::word(decision.outcome().as_str_name(), "OUTCOME_");
    check(
        decision.outcome() == Outcome::Created,
        "the decision to create a card",
        || {
            format!(
                "{outcome} by rule {}: {}",
                decision.rule, decision.explanation
            )
        },
    )?;
    let card = stage.card(&decision.card_id).await?;
    stage.about([card.card_id.as_str()]);
    let status = card.status.clone().unwrap_or_default();
    check(
        status.kind() == StatusKind::New,
        "the card in the status of kind new",
        || status.name.clone(),
    )?;
    check(
        card.source_id == stage.source,
        "the channel's source on the card",
        || card.source_id.clone(),
    )?;
    check(
        card.chat_id == decision.chat_id,
        "the card linked to its chat",
        || card.chat_id.clone(),
    )?;
    let again = earlier.is_some_and(|earlier| earlier.card_id == card.card_id);
    check(!again, "another card than before", || card.card_id.clone())?;
    stage.out.fact(
        "card",
        &format!("“{}” in status {}", card.title, status.name),
    );
    stage.out.fact(
        "because",
        &format!("{} — {}", decision.rule, decision.explanation),
    );
    if let Some(facts) = &decision.facts {
        stage.out.more(&format!(
            "card in work: {}, order in work: {}, cards ever linked to the chat: {}, buyer: {}",
            words::yes(facts.card_in_work),
            words::yes(facts.order_in_work),
            facts.cards_ever_linked,
            words::yes(facts.buyer),
        ));
    }
    Ok((card, decision))
}

/// Waits until distribution has chosen an agent of the pool for this conversation, and the card has taken it over.
pub(crate) async fn assigned(
    stage: &mut Stage<'_>,
    chat_id: &str,
    conversation: &Conversation,
    card: &Card,
) -> Result<Player, CliError> {
    let choice = until(
        "a choice by round robin for this conversation",
        stage.patience,
        async || {
            Ok(match stage.choice(chat_id).await? {
                Some(choice)
                    if choice.number == conversation.number && !choice.agent_id.is_empty() =>
                {
                    Seen::Yes(choice)
                }
                Some(choice) => Seen::NotYet(format!(
                    "a choice for #{} by rule {}",
                    choice.number,
                    rule(&choice)
                )),
                None => Seen::NotYet("no choice".into()),
            })
        },
    )
    .await?;
    check(
        choice.rule() == AssignmentRule::Distribution,
        "the rule distribution",
        || rule(&choice),
    )?;
    let agent = stage.player(&choice.agent_id);
    let agent = agent
        .ok_or_else(|| unexpected("an agent of the pool", &stage.view.name(&choice.agent_id)))?;
    until(
        "the chosen agent as the chat's responsible",
        stage.patience,
        async || {
            let chat = stage.chat(chat_id).await?;
            Ok(responsible_is(
                &choice.agent_id,
                &chat.responsible_agent_id,
                stage,
            ))
        },
    )
    .await?;
    stage
        .out
        .fact("assigned", &format!("{}, by round robin", agent.name));
    let candidates: Vec<_> = choice
        .candidates
        .iter()
        .map(|candidate| candidate_text(candidate, &stage.view))
        .collect();
    stage
        .out
        .more(&format!("looked at: {}", candidates.join("; ")));
    until(
        "the card with the chat's responsible",
        stage.patience,
        async || {
            let card = stage.card(&card.card_id).await?;
            Ok(responsible_is(
                &choice.agent_id,
                &card.responsible_agent_id,
                stage,
            ))
        },
    )
    .await?;
    stage.out.fact(
        "card",
        &format!("{} is responsible for it, too", agent.name),
    );
    Ok(agent)
}

fn responsible_is(wanted: &str, found: &str, stage: &Stage<'_>) -> Seen<()> {
    match found {
        found if found == wanted => Seen::Yes(()),
        "" => Seen::NotYet("no responsible".into()),
        found => Seen::NotYet(format!("{} is responsible", stage.view.name(found))),
    }
}
