//! Third and fourth scene: a message into the open conversation makes no card; after closing, the rule runs again.

use serde_json::json;
use switchboard_proto::conversation::v1::{
    CloseConversationRequest, Conversation, SendNpsRequest, chat::State, message,
};
use switchboard_proto::crm_cards::v1::{Card, MoveCardRequest, StatusKind};
use tonic::Code;

use super::super::wait::{Seen, check, unexpected, until};
use super::opening::{Opened, assigned, decided};
use super::stage::{Player, Stage};
use crate::error::CliError;
use crate::output::words;
use crate::token::Role;
use crate::verbs::card::status_of;

/// What the second conversation left behind.
pub(crate) struct Reopened {
    /// The conversation.
    pub conversation: Conversation,
    /// Its card.
    pub card: Card,
    /// Who answers.
    pub agent: Player,
}

/// Plays the scenes.
pub(crate) async fn play(stage: &mut Stage<'_>, opened: &Opened) -> Result<Reopened, CliError> {
    stage
        .out
        .scene("The customer writes again, and there is no second card");
    into_open(stage, opened).await?;
    stage.out.scene("The deal is won, the conversation closed");
    win(stage, opened).await?;
    close(stage, opened).await?;
    stage.out.scene("A week later");
    reopen(stage, opened).await
}

async fn say(stage: &mut Stage<'_>, chat_id: &str, text: &str) -> Result<(), CliError> {
    stage.out.says(&stage.name, text);
    let before = stage.messages(chat_id, message::Kind::Client).await?.len();
    stage
        .telegram
        .say(stage.customer, &json!({ "text": text }))
        .await?;
    until("one more message in the chat", stage.patience, async || {
        let count = stage.messages(chat_id, message::Kind::Client).await?.len();
        Ok(if count == before + 1 {
            Seen::Yes(())
        } else {
            Seen::NotYet(format!("{count} messages, {before} before"))
        })
    })
    .await
}

async fn into_open(stage: &mut Stage<'_>, opened: &Opened) -> Result<(), CliError> {
    let number = opened.conversation.number;
    say(stage, &opened.chat_id, "Yes please, I come at six").await?;
    // A decision follows an opened conversation and nothing else: the message is stored, and no other was opened.
    let conversations = stage.conversations(&opened.chat_id).await?;
    check(
        conversations.len() == 1,
        "one conversation in the chat",
        || format!("{} conversations", conversations.len()),
    )?;
    stage.out.fact(
        "message",
        &format!("stored in conversation #{number}, which is open"),
    );
    let decisions = stage.decisions(&opened.chat_id).await?;
    check(decisions.len() == 1, "one decision for the chat", || {
        format!("{} decisions", decisions.len())
    })?;
    let cards = stage.connections(&opened.chat_id).await?.cards;
    check(cards.len() == 1, "one card of the chat", || {
        format!("{} cards", cards.len())
    })?;
    stage.out.fact(
        "no card",
        "the rule acts when a conversation opens; this one was open, so nothing was decided",
    );
    Ok(())
}

async fn win(stage: &mut Stage<'_>, opened: &Opened) -> Result<(), CliError> {
    let agent = &opened.agent;
    let card_id = &opened.card.card_id;
    let id = card_id
        .parse()
        .map_err(|_| unexpected("a UUID as the card's id", card_id))?;
    let status_id = status_of(stage.session, id, "successful").await?;
    let mut client = stage.session.crm_cards(&Role::Agent(agent.id)).await?;
    stage.out.does(&agent.name, "moves the card to Successful");
    let request = MoveCardRequest {
        card_id: card_id.clone(),
        status_id,
        ..MoveCardRequest::default()
    };
    let card = client
        .move_card(request)
        .await?
        .into_inner()
        .card
        .unwrap_or_default();
    let status = card.status.clone().unwrap_or_default();
    check(
        status.kind() == StatusKind::Successful,
        "a status of kind successful",
        || status.name.clone(),
    )?;
    stage
        .out
        .fact("card", &format!("“{}” is {}", card.title, status.name));
    Ok(())
}

async fn close(stage: &mut Stage<'_>, opened: &Opened) -> Result<(), CliError> {
    let agent = &opened.agent;
    stage.out.does(&agent.name, "closes the conversation");
    let mut client = stage.session.conversation(&Role::Agent(agent.id)).await?;
    let request = CloseConversationRequest {
        chat_id: opened.chat_id.clone(),
        conversation_id: opened.conversation.conversation_id.clone(),
    };
    let mut ended = client.close_conversation(request.clone()).await;
    if let Err(refused) = ended {
        ask_first(stage, opened, refused.into()).await?;
        ended = client.close_conversation(request.clone()).await;
    }
    let closed = ended?.into_inner().conversation.unwrap_or_default();
    check(closed.close_time.is_some(), "a time of closing", || {
        "none".into()
    })?;
    let chat = stage.chat(&opened.chat_id).await?;
    let now = words::word(chat.state().as_str_name(), "STATE_");
    check(chat.state() == State::Inactive, "the chat inactive", || {
        now.clone()
    })?;
    stage.out.fact(
        "conversation",
        &format!("#{} closed, the chat is {now}", closed.number),
    );
    match client
        .close_conversation(request)
        .await
        .map_err(CliError::from)
    {
        Err(error) if error.code() == Some(Code::FailedPrecondition) => {
            stage.out.fact(
                "closing twice",
                &format!("refused: {error} ({})", error.reason().unwrap_or_default()),
            );
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) => Err(unexpected(
            "a refusal to close a closed conversation",
            "it was closed again",
        )),
    }
}

/// Sends NPS where the channel's rule has it before a conversation is closed, as a person would (F202).
async fn ask_first(
    stage: &mut Stage<'_>,
    opened: &Opened,
    refused: CliError,
) -> Result<(), CliError> {
    if refused.reason().as_deref() != Some("NPS_NOT_SENT") {
        return Err(refused);
    }
    let agent = &opened.agent;
    stage
        .out
        .does(&agent.name, "sends NPS first, as the channel's rule has it");
    let request = SendNpsRequest {
        chat_id: opened.chat_id.clone(),
    };
    let mut bots = stage.session.bots(&Role::Agent(agent.id)).await?;
    let run = bots.send_nps(request).await?.into_inner().run;
    let run = run.unwrap_or_default();
    stage.asked = true;
    let fact = format!("bot “{}” asks the customer", run.bot_name);
    stage.out.fact("nps", &fact);
    Ok(())
}

async fn reopen(stage: &mut Stage<'_>, opened: &Opened) -> Result<Reopened, CliError> {
    say(
        stage,
        &opened.chat_id,
        "Hello again! Do you have it in blue, too?",
    )
    .await?;
    let conversations = stage.conversations(&opened.chat_id).await?;
    let newest = conversations.first().cloned().unwrap_or_default();
    check(
        conversations.len() == 2,
        "two conversations in the chat",
        || format!("{} conversations", conversations.len()),
    )?;
    check(
        newest.close_time.is_none() && newest.number > opened.conversation.number,
        "a later one that is open",
        || format!("#{}", newest.number),
    )?;
    stage.about([newest.conversation_id.as_str()]);
    stage.out.fact(
        "conversation",
        &format!("#{} opened in the same chat", newest.number),
    );
    let (card, _) = decided(stage, &newest, Some(&opened.card)).await?;
    let cards = stage.connections(&opened.chat_id).await?.cards;
    check(cards.len() == 2, "two cards of the chat", || {
        format!("{} cards", cards.len())
    })?;
    let agent = assigned(stage, &opened.chat_id, &newest, &card).await?;
    Ok(Reopened {
        conversation: newest,
        card,
        agent,
    })
}
