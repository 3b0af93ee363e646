//! From CRM to dialogs: when an entity gets a responsible, and when a dialog opens.

use serde_json::json;

use super::story::{COMPANY, CONTACT, DEAL, LEAD, Story};

#[tokio::test(flavor = "multi_thread")]
async fn f040_f044_f046_f047_f048_f049_a_change_comes_to_all_chats_whose_line_takes_the_kind()
-> anyhow::Result<()> {
    let story = Story::start().await?;
    let [ann, bob] = story.agents()?;
    let first = story.line();
    let second = story.further_line("MODE_REPEAT").await?;
    story.keep(&first, &[CONTACT, LEAD], &[]).await?;
    story.keep(&second, &[DEAL], &[]).await?;
    // One person on two lines is one contact with two chats (F047).
    let (here, there) = (
        story.write(&first, 7_101).await?,
        story.write(&second, 7_101).await?,
    );
    assert_eq!(here.contact, there.contact);
    assert_ne!(here.card()?, there.card()?);
    let both = [here.chat.as_str(), there.chat.as_str()];
    assert_eq!(story.chats(&both).await?, ["", ""]);

    story.give(&here.contact, &ann).await?;
    assert_eq!(
        story.chats(&both).await?,
        [&*ann, ""],
        "F048: that line takes no contacts"
    );
    story.keep(&second, &[CONTACT], &[]).await?;
    assert_eq!(
        story.chats(&both).await?,
        [&*ann, ""],
        "F046: setting it changes no dialog"
    );
    story.give(&here.contact, &bob).await?;
    assert_eq!(story.chats(&both).await?, [&*bob, &*bob]);
    // What each has is the act itself, with its stamp.
    let contact = story.entity(&here.contact).await?;
    assert_eq!(story.chat(&here.chat).await?, contact);
    assert_eq!(story.chat(&there.chat).await?, contact);

    // Of two ticked kinds what was changed last (F041), and only the responsible counts (F042).
    story.give(here.card()?, &ann).await?;
    assert_eq!(
        story.chats(&both).await?,
        [&*ann, &*bob],
        "another chat's card"
    );
    story
        .change(&here.contact, "name", json!("Renamed"))
        .await?;
    story
        .change(there.card()?, "title", json!("Renamed"))
        .await?;
    assert_eq!(story.chats(&both).await?, [&*ann, &*bob]);
    // F051: without a responsible it changes none.
    story.give(here.card()?, "").await?;
    story.give(&here.contact, "").await?;
    assert_eq!(story.chats(&both).await?, [&*ann, &*bob]);

    // F034: a company's is that of all chats of its contacts.
    let company = story.company_of(&here.contact).await?;
    story.keep(&first, &[COMPANY], &[]).await?;
    story.keep(&second, &[COMPANY, DEAL], &[]).await?;
    story.give(&company, &bob).await?;
    assert_eq!(story.chats(&both).await?, [&*bob, &*bob]);
    story.give(&company, &ann).await?;
    assert_eq!(story.chats(&both).await?, [&*ann, &*ann]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f035_f036_f041_f043_f045_f050_an_opened_dialog_takes_the_chosen_cards_responsible_each_time()
-> anyhow::Result<()> {
    let story = Story::start().await?;
    let [ann, bob] = story.agents()?;
    let line = story.line();
    let talk = story.write(&line, 7_201).await?;
    story.give(&talk.contact, &ann).await?;
    // F035: nothing is kept in step, and who comes back is nobody's.
    story.close(&talk.chat).await?;
    story.write(&line, 7_201).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [""]);

    // F046: only the next opening takes it (F045).
    story.keep(&line, &[CONTACT, LEAD], &[]).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [""]);
    for _ in 0..2 {
        story.close(&talk.chat).await?;
        story.write(&line, 7_201).await?;
        assert_eq!(
            story.chats(&[&talk.chat]).await?,
            [&*ann],
            "F036: on every appeal"
        );
    }
    // A dialog that is over takes nothing; at its opening the card that was changed last counts (F041).
    story.close(&talk.chat).await?;
    story.give(talk.card()?, &ann).await?;
    story.give(&talk.contact, &bob).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*ann]);
    story.write(&line, 7_201).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*bob]);
    assert_eq!(
        story.chat(&talk.chat).await?,
        story.entity(&talk.contact).await?
    );

    // F043: made with a responsible. Linked to no chat it changes none (F050).
    let create = "crm_cards.v1.CrmCardsService/CreateCard";
    let mut card = json!({ "title": "By hand", "responsible_agent_id": ann });
    story.ask(create, card.clone()).await?;
    let contact = json!({ "name": "By hand", "responsible_agent_id": ann });
    story
        .ask("crm_cards.v1.ContactService/CreateContact", contact)
        .await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*bob]);
    card["chat_id"] = json!(talk.chat);
    story.ask(create, card).await?;
    assert_eq!(story.chats(&[&talk.chat]).await?, [&*ann]);
    Ok(())
}
