//! From dialogs to CRM, and both ways at once.

use serde_json::json;
use switchboard_proto::assignment::v1::ResponsibleSyncSkipped;
use switchboard_tests::events::Event;
use uuid::Uuid;

use super::story::{COMPANY, CONTACT, LEAD, Story};

const CHANGED: &str = "crm-cards.entity.responsible-changed";
const ASSIGNED: &str = "assignment.chat.assigned";
const REQUESTED: &str = "assignment.responsible-sync.requested";
const SKIPPED: &str = "assignment.responsible-sync.skipped";

#[tokio::test(flavor = "multi_thread")]
async fn f052_f053_f054_f057_f058_f059_linked_entities_of_ticked_kinds_take_the_dialogs_responsible()
-> anyhow::Result<()> {
    let story = Story::start().await?;
    let [ann, bob] = story.agents()?;
    let line = story.line();
    story.keep(&line, &[], &[LEAD]).await?;
    let talk = story.write(&line, 7_301).await?;
    let company = story.company_of(&talk.contact).await?;
    let all = [talk.card()?, &talk.contact, &company];
    story.assign(&talk.chat, &ann).await?;
    assert_eq!(
        story.entities(&all).await?,
        [&*ann, "", ""],
        "F059: the lead alone"
    );
    story.keep(&line, &[], &[LEAD, CONTACT]).await?;
    assert_eq!(
        story.entities(&all).await?,
        [&*ann, "", ""],
        "setting it changes no entity"
    );
    story.assign(&talk.chat, &bob).await?;
    assert_eq!(story.entities(&all).await?, [&*bob, &*bob, ""]);
    assert_eq!(
        story.entity(&talk.contact).await?,
        story.chat(&talk.chat).await?
    );
    story.keep(&line, &[], &[COMPANY]).await?;
    story.assign(&talk.chat, &ann).await?;
    assert_eq!(story.entities(&all).await?, [&*bob, &*bob, &*ann]);
    // That direction alone: what changes in CRM stays there.
    story.give(&talk.contact, &ann).await?;
    story.give(&company, &bob).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*ann]);

    // F054: a chat without a card gives none and makes none.
    let bare = story.further_line("MODE_NONE").await?;
    story.keep(&bare, &[], &[LEAD]).await?;
    let other = story.write(&bare, 7_302).await?;
    story.assign(&other.chat, &ann).await?;
    assert_eq!(story.entities(&[&other.contact]).await?, [""]);
    assert!(story.account.cards(&other.chat).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_x06_both_ways_an_act_goes_one_step_crossing_acts_end_equal_and_strangers_are_reported()
-> anyhow::Result<()> {
    let story = Story::start().await?;
    let [ann, bob] = story.agents()?;
    let line = story.line();
    story
        .keep(&line, &[CONTACT, LEAD], &[CONTACT, LEAD])
        .await?;
    let talk = story.write(&line, 7_401).await?;
    let both = [talk.card()?, &talk.contact];
    let names = [CHANGED, ASSIGNED, REQUESTED];

    let before = story.counts(names).await?;
    story.assign(&talk.chat, &ann).await?;
    assert_eq!(story.entities(&both).await?, [&*ann, &*ann]);
    let after = story.counts(names).await?;
    let more =
        |after: [usize; 3], before: [usize; 3]| [0, 1, 2].map(|place| after[place] - before[place]);
    assert_eq!(
        more(after, before),
        [2, 1, 1],
        "two entities, and nothing comes back"
    );
    story.give(&talk.contact, &bob).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*bob]);
    assert_eq!(
        story.entities(&both).await?,
        [&*ann, &*bob],
        "one step: not on to the lead"
    );
    let last = story.counts(names).await?;
    assert_eq!(more(last, after), [1, 1, 0]);

    // At once, again and again: each time they end at the later act.
    for round in 0..8 {
        let (mine, yours) = if round % 2 == 0 {
            (&ann, &bob)
        } else {
            (&bob, &ann)
        };
        let (one, other) = tokio::join!(
            story.assign(&talk.chat, mine),
            story.give(&talk.contact, yours)
        );
        one?;
        other?;
        story.entities(&both).await?;
        let (chat, contact) = (
            story.chat(&talk.chat).await?,
            story.entity(&talk.contact).await?,
        );
        assert_eq!(chat, contact, "round {round}");
    }
    ends_after_one_step(&story.events(&names).await?);

    // X06: a stranger and one who has left are given nothing; one who may not have the chat is, and it is told that nothing
    // followed.
    let held = story.chat(&talk.chat).await?;
    let contact = story.entity(&talk.contact).await?;
    let stranger = Uuid::new_v4().to_string();
    assert!(story.give(&talk.contact, &stranger).await.is_err());
    let update = "assignment.v1.AssignmentService/UpdateAgent";
    let other = if held.agent == ann { &bob } else { &ann };
    let view = json!({ "create": true, "view": "VIEW_ALL" });
    let grants = json!({ "channels": {}, "leads": view, "contacts": view, "settings": true });
    let ungranted = json!({ "agent_id": other, "grants": grants });
    story.ask(update, ungranted).await?;
    story.give(&talk.contact, other).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*held.agent]);
    assert_eq!(story.chat(&talk.chat).await?, held);
    let inactive = json!({ "agent_id": held.agent, "active": false });
    story.ask(update, inactive).await?;
    // Until crm-cards has heard of it.
    story.chats(&[&talk.chat]).await?;
    assert!(story.give(&talk.contact, &held.agent).await.is_err());
    assert_eq!(story.entity(&talk.contact).await?.agent, *other);
    assert_ne!(contact.agent, *other);
    let skipped = story.events(&[SKIPPED]).await?;
    let reasons: Vec<_> = skipped
        .iter()
        .filter_map(Event::decode::<ResponsibleSyncSkipped>)
        .map(|event| (event.chat_id, event.reason))
        .collect();
    let expected = [(talk.chat.clone(), "CHANNEL_NOT_GRANTED".to_owned())];
    assert_eq!(reasons, expected);
    Ok(())
}

/// Checks that nothing that a synchronisation changed led to anything further.
fn ends_after_one_step(events: &[Event]) {
    let synced = events
        .iter()
        .filter(|event| event.header("ce-sbactor").starts_with("sync:"));
    let ids: Vec<&str> = synced.map(|event| event.header("ce-id")).collect();
    assert!(!ids.is_empty(), "something was kept in step");
    for event in events {
        let cause = event.header("ce-sbcause");
        assert!(
            !ids.contains(&cause),
            "{} follows a synchronisation",
            event.name()
        );
    }
}
