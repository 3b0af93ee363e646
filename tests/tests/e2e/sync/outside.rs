//! A CRM outside and the dialogs, in step both ways: the example client plays it.

use anyhow::Context;
use serde_json::json;
use switchboard_proto::common::v1::EntityKind;
use switchboard_tests::external_crm::{Book, ExternalCrm};
use switchboard_tests::quiet::quiet;
use switchboard_tests::world::eventually;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::story::{CONTACT, Entity, Held, LEAD, Story};

const CHANGED: &str = "crm-cards.entity.responsible-changed";

/// A time in microseconds since 1970, so far from now.
fn micros(from_now: Duration) -> anyhow::Result<i64> {
    let nanos = (OffsetDateTime::now_utc() + from_now).unix_timestamp_nanos();
    Ok(i64::try_from(nanos / 1_000)?)
}

fn kind_of(entity: &Entity) -> i32 {
    let kind = match entity {
        Entity::Card(_) => EntityKind::Lead,
        Entity::Contact(_) => EntityKind::Contact,
        Entity::Company(_) => EntityKind::Company,
    };
    kind.into()
}

/// The story, and the CRM outside.
struct Both {
    story: Story,
    outside: ExternalCrm,
}

impl Both {
    async fn say(&self, entity: &Entity, agent: &str, time: Option<i64>) -> anyhow::Result<()> {
        let kind = kind_of(entity);
        self.outside.say(kind, entity.id(), agent, time).await
    }

    /// Waits until nothing is on its way and both sides say the same of these entities; returns who that is.
    async fn settled(&self, entities: &[&Entity]) -> anyhow::Result<Vec<String>> {
        eventually("what was said outside is answered", async || {
            let book = self.outside.book().await?;
            Ok(book.responsibles.values().all(|one| one.sent).then_some(()))
        })
        .await?;
        quiet(&self.story.world).await?;
        let mut agents = Vec::new();
        for entity in entities {
            let here = self.story.entity(entity).await?;
            let there = eventually("both sides say the same", async || {
                let book = self.outside.book().await?;
                Ok(same(&book, entity, &here).then_some(here.agent.clone()))
            });
            agents.push(there.await?);
        }
        Ok(agents)
    }

    async fn chat(&self, chat: &str) -> anyhow::Result<String> {
        Ok(self.story.chats(&[chat]).await?.remove(0))
    }
}

/// Tells whether the CRM outside says of an entity what Switchboard says, by the same act.
fn same(book: &Book, entity: &Entity, here: &Held) -> bool {
    let Some(there) = book.responsibles.get(entity.id()) else {
        return false;
    };
    let time = here.stamp["time"].as_str().unwrap_or_default();
    let rfc3339 = time::format_description::well_known::Rfc3339;
    let time = OffsetDateTime::parse(time, &rfc3339);
    let time = time.map(|time| time.unix_timestamp_nanos() / 1_000);
    there.agent.clone().unwrap_or_default() == here.agent && time == Ok(there.time.into())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
async fn f044_f052_x05_x06_dialogs_and_a_crm_outside_are_in_step_whatever_crosses_and_whoever_is_killed()
-> anyhow::Result<()> {
    let story = Story::start().await?;
    let [ann, bob] = story.agents()?;
    let line = story.line();
    story
        .keep(&line, &[CONTACT, LEAD], &[CONTACT, LEAD])
        .await?;
    let talk = story.write(&line, 7_501).await?;
    story.give(&talk.contact, &bob).await?;
    // What was before it came it reads from the lists.
    let Some(outside) = ExternalCrm::start(&story.world, &story.account.slug, true)? else {
        return Ok(());
    };
    let mut both = Both { story, outside };
    let (card, contact, chat) = (talk.card()?, &talk.contact, talk.chat.as_str());
    assert_eq!(both.settled(&[contact]).await?, [&*bob]);

    // From the dialog outwards, and from outside into the dialog: with the act's own time.
    both.story.assign(chat, &ann).await?;
    assert_eq!(both.settled(&[card, contact]).await?, [&*ann, &*ann]);
    let at = micros(Duration::ZERO)?;
    both.say(contact, &bob, Some(at)).await?;
    assert_eq!(both.settled(&[card, contact]).await?, [&*ann, &*bob]);
    assert_eq!(both.chat(chat).await?, bob);
    assert_eq!(
        both.story.chat(chat).await?,
        both.story.entity(contact).await?
    );
    assert_eq!(
        both.outside.book().await?.responsibles[contact.id()].time,
        at
    );
    // What was said earlier there, and is heard later here, is overtaken, and both know it.
    both.say(contact, &ann, Some(micros(-Duration::HOUR)?))
        .await?;
    assert_eq!(both.settled(&[contact]).await?, [&*bob]);
    assert_eq!(both.chat(chat).await?, bob);

    // At once on both sides, again and again: they end equal, and so does the dialog.
    for round in 0..6 {
        let (here, there) = if round % 2 == 0 {
            (&ann, &bob)
        } else {
            (&bob, &ann)
        };
        let (one, other) = tokio::join!(
            both.story.assign(chat, here),
            both.say(contact, there, None)
        );
        one?;
        other?;
        let agents = both.settled(&[contact]).await?;
        assert_eq!(both.chat(chat).await?, agents[0], "round {round}");
    }

    // Killed: what happens meanwhile it learns afterwards, and what it said last is not lost.
    for round in 0..2 {
        let (first, second) = if round == 0 {
            (&ann, &bob)
        } else {
            (&bob, &ann)
        };
        both.say(card, first, None).await?;
        both.outside.kill()?;
        both.story.give(contact, first).await?;
        both.story.give(contact, second).await?;
        both.outside.restart()?;
        assert_eq!(
            both.settled(&[card, contact]).await?,
            [first.clone(), second.clone()]
        );
        let told = both.story.counts([CHANGED]).await?;
        // Once more: nothing is said twice, and nothing is taken twice.
        both.outside.restart()?;
        assert_eq!(
            both.settled(&[card, contact]).await?,
            [first.clone(), second.clone()]
        );
        assert_eq!(both.story.counts([CHANGED]).await?, told);
    }

    // A stamp from the future, and an agent whom nobody knows: nothing changes, and both are told.
    let before = both.story.entity(contact).await?;
    let stranger = Uuid::new_v4().to_string();
    let ahead = micros(Duration::minutes(10))?;
    both.say(contact, &bob, Some(ahead)).await?;
    both.settled(&[contact]).await?;
    both.say(contact, &stranger, None).await?;
    both.settled(&[contact]).await?;
    assert_eq!(both.story.entity(contact).await?, before);
    let reports = both.outside.book().await?.reports;
    let [future, unknown] = reports.as_slice() else {
        anyhow::bail!("two reports: {reports:?}");
    };
    assert!(future.why.contains("60 s ahead"), "{}", future.why);
    assert_eq!(unknown.agent.as_ref(), Some(&stranger));
    assert_eq!(unknown.why, "OUTCOME_AGENT_UNKNOWN");

    // The same request again: the same stamps, and nothing changes.
    let act = json!({ "entities": [{
        "kind": CONTACT, "entity_id": contact.id(), "responsible_agent_id": ann,
        "stamp": { "time": OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339)?,
                   "event_id": Uuid::new_v4().to_string() } }] });
    let method = "crm_cards.v1.ExternalCrmService/SetEntityResponsibles";
    let outcome = async || -> anyhow::Result<String> {
        let answer = both.story.ask(method, act.clone()).await?;
        let outcome = answer["outcomes"][0]["outcome"].as_str();
        Ok(outcome.context("an outcome")?.to_owned())
    };
    let expected = if before.agent == ann {
        "OUTCOME_UNCHANGED"
    } else {
        "OUTCOME_APPLIED"
    };
    assert_eq!(outcome().await?, expected);
    let told = both.story.counts([CHANGED]).await?;
    assert_eq!(outcome().await?, "OUTCOME_UNCHANGED");
    assert_eq!(both.story.counts([CHANGED]).await?, told);
    Ok(())
}
