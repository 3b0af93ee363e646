//! Why there is a card or none, and why this agent: facts, candidates, rule and time of both decisions together.

use std::collections::BTreeMap;

use clap::Args;
use switchboard_proto::assignment::v1::{AssignmentChoice, Candidate, ExplainAssignmentRequest};
use switchboard_proto::conversation::v1::{FindMessagesRequest, GetChatRequest};
use switchboard_proto::crm_cards::v1::{
    Decision, ExplainCardRequest, GetCardRequest, ListDecisionsRequest, explain_card_request::About,
};
use tonic::Code;
use uuid::Uuid;

use super::assignment::rule;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::screen::{Screen, plain, toned};
use crate::output::table::Tone;
use crate::output::{Show, View, json, say, words};

/// What is asked about.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Id of a chat, a conversation, a card or a message
    about: Uuid,
    /// Of a chat, so many conversations at most, the newest first
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

/// What is known of one conversation.
#[derive(Default)]
pub(crate) struct Why {
    /// Its id.
    pub conversation: String,
    /// Its number in the account.
    pub number: i64,
    /// Why there is a card, or none; absent while nothing was decided.
    pub decision: Option<Decision>,
    /// Who was chosen, and why, the newest first.
    pub choices: Vec<AssignmentChoice>,
}

/// Runs the verb.
pub(crate) async fn run(
    args: ExplainArgs,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let (chat, conversation) = place(session, args.about).await?;
    let mut all = of_chat(session, &chat).await?;
    all.retain(|one| conversation.is_empty() || one.conversation == conversation);
    all.truncate(args.limit.into());
    if !view.is_table() {
        let values = all.iter().map(value).collect::<Result<_, _>>()?;
        view.values(values);
        return view.judge_empty(all.is_empty());
    }
    if all.is_empty() {
        return Err(CliError::failed(
            "nothing was decided for it yet",
            "`switchboardctl status` tells which consumer lags",
        ));
    }
    let mut screen = Screen::new(view.width(), view.colour);
    for why in &all {
        shown(&mut screen, why, &view);
    }
    for line in screen.finish() {
        say!("{line}");
    }
    Ok(())
}

/// The chat, and the conversation where one is named, of whatever an id is of.
async fn place(session: &Session, about: Uuid) -> Result<(String, String), CliError> {
    let role = session.role().await?;
    let id = about.to_string();
    let mut chats = session.conversation(&role).await?;
    let asked = chats
        .get_chat(GetChatRequest {
            chat_id: id.clone(),
        })
        .await;
    if found(asked)?.is_some() {
        return Ok((id, String::new()));
    }
    let mut search = session.search(&role).await?;
    let asked = FindMessagesRequest {
        message_ids: vec![id.clone()],
        ..FindMessagesRequest::default()
    };
    let messages = search.find_messages(asked).await?.into_inner().messages;
    if let Some(message) = messages.into_iter().find_map(|one| one.message) {
        return Ok((message.chat_id, message.conversation_id));
    }
    let mut cards = session.crm_cards(&role).await?;
    for about in [About::ConversationId(id.clone()), About::CardId(id.clone())] {
        let asked = cards.explain_card(ExplainCardRequest { about: Some(about) });
        let decision = found(asked.await)?.and_then(|answer| answer.decision);
        if let Some(decision) = decision {
            return Ok((decision.chat_id, decision.conversation_id));
        }
    }
    // A card that no rule made: of its chat something may be told all the same.
    let asked = cards
        .get_card(GetCardRequest {
            card_id: id.clone(),
        })
        .await;
    match found(asked)?.and_then(|answer| answer.card) {
        Some(card) if !card.chat_id.is_empty() => Ok((card.chat_id, String::new())),
        Some(card) => Err(CliError::failed(
            format!("no rule made this card: {}", card.title),
            format!("`switchboardctl card history {id}` tells who did"),
        )),
        None => Err(CliError::failed(
            format!("{id} is no chat, conversation, card or message of this account"),
            "`switchboardctl find TEXT` finds ids; check --account",
        )),
    }
}

/// An answer; nothing where there is no such thing.
fn found<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> Result<Option<T>, CliError> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// What was decided in a chat, by conversation, the newest first.
pub(crate) async fn of_chat(session: &Session, chat: &str) -> Result<Vec<Why>, CliError> {
    let role = session.role().await?;
    let mut cards = session.crm_cards(&role).await?;
    let mut assignment = session.assignment(&role).await?;
    let decisions = ListDecisionsRequest {
        page_size: 200,
        chat_id: chat.to_owned(),
        ..ListDecisionsRequest::default()
    };
    let choices = ExplainAssignmentRequest {
        page_size: 200,
        chat_id: chat.to_owned(),
        ..ExplainAssignmentRequest::default()
    };
    let (decisions, choices) = tokio::join!(
        cards.list_decisions(decisions),
        assignment.explain_assignment(choices)
    );
    let choices = found(choices)?.map(|answer| answer.choices);
    Ok(joined(
        decisions?.into_inner().decisions,
        choices.unwrap_or_default(),
    ))
}

/// Both decisions of each conversation together, the newest first.
fn joined(decisions: Vec<Decision>, choices: Vec<AssignmentChoice>) -> Vec<Why> {
    let mut all: BTreeMap<(i64, String), Why> = BTreeMap::new();
    let entry = |number: i64, conversation: &str| Why {
        conversation: conversation.to_owned(),
        number,
        ..Why::default()
    };
    for decision in decisions {
        let new = entry(decision.number, &decision.conversation_id);
        let key = (decision.number, decision.conversation_id.clone());
        all.entry(key).or_insert(new).decision = Some(decision);
    }
    for choice in choices {
        let new = entry(choice.number, &choice.conversation_id);
        let key = (choice.number, choice.conversation_id.clone());
        all.entry(key).or_insert(new).choices.push(choice);
    }
    all.into_values().rev().collect()
}

fn value(why: &Why) -> Result<serde_json::Value, CliError> {
    let decision = why.decision.as_ref().map(json::value).transpose()?;
    let choices: Vec<_> = why
        .choices
        .iter()
        .map(json::value)
        .collect::<Result<_, _>>()?;
    Ok(serde_json::json!({
        "conversationId": why.conversation, "number": why.number, "decision": decision, "choices": choices,
    }))
}

fn shown(screen: &mut Screen, why: &Why, view: &View) {
    screen.heading(&format!(
        "CONVERSATION #{}  {}",
        why.number, why.conversation
    ));
    match &why.decision {
        None => screen.line(&[
            plain("  card   "),
            toned("not decided yet", Tone::Attention),
        ]),
        Some(decision) => {
            let outcome = words::word(decision.outcome().as_str_name(), "OUTCOME_");
            let tone = if decision.card_id.is_empty() {
                Tone::Attention
            } else {
                Tone::Good
            };
            screen.line(&[
                plain("  card   "),
                toned(&*outcome, tone),
                plain(format!(
                    " by {} {}  {}",
                    decision.rule,
                    words::ago(decision.time.as_ref(), view.now),
                    decision.card_id
                )),
            ]);
            screen.paragraph(9, &decision.explanation, Tone::Plain);
            for line in decision.more(view) {
                screen.paragraph(9, &line, Tone::Dim);
            }
        }
    }
    if why.choices.is_empty() {
        screen.line(&[
            plain("  agent  "),
            toned("nobody was chosen yet", Tone::Attention),
        ]);
    }
    for choice in &why.choices {
        let nobody = choice.agent_id.is_empty();
        let (name, tone) = if nobody {
            ("nobody".to_owned(), Tone::Attention)
        } else {
            (view.name(&choice.agent_id), Tone::Good)
        };
        screen.line(&[
            plain("  agent  "),
            toned(name, tone),
            plain(format!(
                " by {} {}, {}",
                rule(choice),
                words::ago(choice.time.as_ref(), view.now),
                super::assignment::actor(&choice.actor, view)
            )),
        ]);
        for candidate in &choice.candidates {
            let (name, why) = candidate_line(candidate, view);
            screen.line(&[
                plain(format!("         {name:<20} ")),
                toned(
                    why,
                    if candidate.left_out.is_empty() {
                        Tone::Plain
                    } else {
                        Tone::Dim
                    },
                ),
            ]);
        }
    }
}

/// A candidate: who, and what was known of them.
fn candidate_line(candidate: &Candidate, view: &View) -> (String, String) {
    let load = match candidate.capacity {
        0 => format!("{} open", candidate.load),
        most => format!("{} of {most} open", candidate.load),
    };
    let weight = match candidate.weight {
        0 => String::new(),
        weight => format!(", weight {weight}"),
    };
    let out = match candidate.left_out.as_str() {
        "" => String::new(),
        reason => format!(", left out: {}", reason.to_lowercase().replace('_', " ")),
    };
    (
        view.name(&candidate.agent_id),
        format!("{load}{weight}{out}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o304_both_decisions_of_a_conversation_stand_together_newest_first() {
        let decision = |number: i64| Decision {
            number,
            conversation_id: format!("c{number}"),
            ..Decision::default()
        };
        let choice = |number: i64, agent: &str| AssignmentChoice {
            number,
            conversation_id: format!("c{number}"),
            agent_id: agent.into(),
            ..AssignmentChoice::default()
        };
        let all = joined(
            vec![decision(9), decision(2)],
            vec![choice(12, "a"), choice(9, "b"), choice(9, "c")],
        );
        let told: Vec<_> = all
            .iter()
            .map(|one| (one.number, one.decision.is_some(), one.choices.len()))
            .collect();
        assert_eq!(told, [(12, false, 1), (9, true, 2), (2, true, 0)]);
        assert_eq!(all[1].choices[0].agent_id, "b", "their order is kept");
    }
}
