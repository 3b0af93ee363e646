//! What was told, replayed in the order of the transactions that did it, and a model of the rule that is written from the design
//! alone. Whoever changes facts holds the contact's lock until the change and its events are committed: of one contact the events
//! stand in the stream as the acts did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use switchboard_proto::crm_cards::v1::decision::Outcome;
use switchboard_proto::crm_cards::v1::pipeline_connection::{Mode, Scope};
use switchboard_proto::crm_cards::v1::{
    Card, CardCreated, CardDeleted, CardMoved, ConnectionDecided, ContactUpdated, Decision,
    DecisionFacts, ListCardsRequest, Order, OrderCreated, OrderMoved, StatusKind,
};
use switchboard_tests::events::{Event, read_all};

use super::Field;
use super::drive::Driven;

/// Waits for all decisions, then replays.
pub async fn everything(nats_url: &str, field: &Field, driven: &Driven) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(2);
    let events = loop {
        let events = read_all(nats_url, Some(&field.account)).await?;
        let decided = events.iter().filter_map(Event::decode::<ConnectionDecided>);
        let decided: BTreeSet<String> = decided
            .filter_map(|event| event.decision)
            .map(|decision| decision.conversation_id)
            .collect();
        if decided == driven.opened {
            break events;
        }
        let missing = driven.opened.difference(&decided).count();
        ensure!(
            Instant::now() < deadline,
            "{missing} conversations were never decided"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let mut replay = Replay::default();
    for event in &events {
        replay
            .take(event)
            .with_context(|| format!("event {} {}", event.stream_sequence, event.name()))?;
    }
    ensure!(
        replay.decided.len() == driven.opened.len(),
        "not every conversation was decided once"
    );
    println!(
        "{} decisions made {} cards; by rule {:?}",
        replay.decided.len(),
        replay.made.len(),
        replay.rules
    );
    // Enough happened for the campaign to mean something.
    ensure!(
        replay.made.len() > driven.opened.len() / 50,
        "hardly a card was made"
    );
    ensure!(replay.rules.len() >= 8, "hardly a rule decided");
    replay.stands(field).await
}

/// A card, as far as the rule looks at it.
struct Known {
    chat: String,
    contact: String,
    in_work: bool,
    deleted: bool,
}

#[derive(Default)]
struct Replay {
    cards: BTreeMap<String, Known>,
    /// Orders by id: the buyer, and whether it is in work.
    orders: BTreeMap<String, (String, bool)>,
    buyers: BTreeSet<String>,
    decided: BTreeSet<String>,
    /// Cards that the rule made.
    made: BTreeSet<String>,
    rules: BTreeMap<String, usize>,
}

fn working(kind: StatusKind) -> bool {
    matches!(kind, StatusKind::New | StatusKind::InProgress)
}

fn card_in_work(card: &Card) -> bool {
    card.status
        .as_ref()
        .is_some_and(|status| working(status.kind()))
}

impl Replay {
    fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        if let Some(created) = event.decode::<CardCreated>() {
            let card = created.card.context("a card")?;
            let known = Known {
                in_work: card_in_work(&card),
                chat: card.chat_id,
                contact: card.contact_id,
                deleted: false,
            };
            if !created.conversation_id.is_empty() {
                self.made.insert(card.card_id.clone());
            }
            let before = self.cards.insert(card.card_id, known);
            ensure!(before.is_none(), "a card was created twice");
        } else if let Some(moved) = event.decode::<CardMoved>() {
            let card = moved.card.context("a card")?;
            let known = self
                .cards
                .get_mut(&card.card_id)
                .context("a card that was created")?;
            known.in_work = card_in_work(&card);
        } else if let Some(deleted) = event.decode::<CardDeleted>() {
            let card = deleted.card.context("a card")?;
            let known = self
                .cards
                .get_mut(&card.card_id)
                .context("a card that was created")?;
            known.deleted = true;
        } else if let Some(created) = event.decode::<OrderCreated>() {
            self.order(created.order.context("an order")?);
        } else if let Some(moved) = event.decode::<OrderMoved>() {
            self.order(moved.order.context("an order")?);
        } else if let Some(updated) = event.decode::<ContactUpdated>() {
            let contact = updated.contact.context("a contact")?;
            if contact.buyer {
                self.buyers.insert(contact.contact_id);
            }
        } else if let Some(decided) = event.decode::<ConnectionDecided>() {
            self.decision(&decided.decision.context("a decision")?)?;
        }
        Ok(())
    }

    fn order(&mut self, order: Order) {
        let in_work = working(order.status());
        self.orders
            .insert(order.order_id, (order.contact_id, in_work));
    }

    fn decision(&mut self, decision: &Decision) -> anyhow::Result<()> {
        ensure!(
            self.decided.insert(decision.conversation_id.clone()),
            "{} was decided twice",
            decision.conversation_id
        );
        *self.rules.entry(decision.rule.clone()).or_default() += 1;
        let told = decision.facts.as_ref().context("facts")?;
        let seen = self.facts(decision, told)?;
        ensure!(
            *told == seen,
            "facts {told:?}, but the replay saw {seen:?}: {decision:?}"
        );
        let wanted = card_is_due(decision, &seen)?;
        let made = decision.outcome() == Outcome::Created;
        ensure!(
            made == wanted,
            "a card is due: {wanted}, and was made: {made}: {decision:?}"
        );
        ensure!(made != decision.card_id.is_empty(), "{decision:?}");
        if made {
            let card = self
                .cards
                .get(&decision.card_id)
                .context("its card was told before")?;
            ensure!(
                card.chat == decision.chat_id && card.contact == decision.contact_id,
                "{decision:?}"
            );
        }
        Ok(())
    }

    /// The facts as they were just before the decision; its own card, which was told with it, is none of them.
    fn facts(&self, decision: &Decision, told: &DecisionFacts) -> anyhow::Result<DecisionFacts> {
        let scope = decision.connection.as_ref().context("a rule")?.scope();
        let others = || {
            self.cards
                .iter()
                .filter(|(id, _)| **id != decision.card_id)
                .map(|(_, card)| card)
        };
        let of_chat = || others().filter(|card| card.chat == decision.chat_id);
        let of_contact =
            || others().filter(|card| card.contact == decision.contact_id && !card.deleted);
        let in_work = if scope == Scope::Client {
            of_contact().any(|card| card.in_work)
        } else {
            of_chat().any(|card| card.in_work && !card.deleted)
        };
        Ok(DecisionFacts {
            // What only the opening tells.
            opened_by_client: told.opened_by_client,
            chat_create_time: told.chat_create_time,
            cards_ever_linked: i32::try_from(of_chat().count())?,
            card_in_work: in_work,
            order_in_work: self
                .orders
                .values()
                .any(|(buyer, in_work)| *buyer == decision.contact_id && *in_work),
            contact_cards: i32::try_from(of_contact().count())?,
            buyer: self.buyers.contains(&decision.contact_id),
        })
    }

    /// What stands in the service is what was told.
    async fn stands(&self, field: &Field) -> anyhow::Result<()> {
        let mut client = field.clients.first().context("a client")?.crm.clone();
        let (mut cards, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListCardsRequest {
                page_size: 200,
                page_token,
                ..Default::default()
            };
            let page = client.list_cards(request).await?.into_inner();
            cards.extend(page.cards);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let stand: BTreeMap<&str, bool> = cards
            .iter()
            .map(|card| (card.card_id.as_str(), card_in_work(card)))
            .collect();
        let live = self.cards.iter().filter(|(_, card)| !card.deleted);
        let told: BTreeMap<&str, bool> =
            live.map(|(id, card)| (id.as_str(), card.in_work)).collect();
        ensure!(
            stand == told,
            "{} cards stand, {} were told of",
            stand.len(),
            told.len()
        );
        Ok(())
    }
}

/// The rule of architecture §6, from its text.
fn card_is_due(decision: &Decision, facts: &DecisionFacts) -> anyhow::Result<bool> {
    let rule = decision.connection.as_ref().context("a rule")?;
    let moment = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    let included = rule
        .include_existing_chats
        .unwrap_or(rule.mode() == Mode::ContactWithoutCards);
    if rule.mode() == Mode::None || !facts.opened_by_client {
        return Ok(false);
    }
    if moment(facts.chat_create_time) < moment(rule.activate_time) && !included {
        return Ok(false);
    }
    Ok(match rule.mode() {
        Mode::OneTime => facts.cards_ever_linked == 0 && !facts.order_in_work,
        Mode::Repeat => !facts.card_in_work && !facts.order_in_work,
        Mode::ContactWithoutCards => facts.contact_cards == 0 && !facts.buyer,
        Mode::None | Mode::Unspecified => false,
    })
}
