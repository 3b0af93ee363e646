//! What bots send: words and files (F187, F189), and how much of it.

use conversation::app::bots::keep;
use conversation::app::quick_replies::Files;
use prost::Message as _;
use switchboard_proto::common::v1::content_part::Content;
use tonic_types::StatusExt as _;

use super::*;

const PRICES: Uuid = Uuid::from_u128(0x9a1ce);

/// A gateway that remembers which files it was told to keep, and for whom.
#[derive(Default)]
struct Told(Mutex<Vec<(Option<AgentId>, Vec<Uuid>)>>);

#[tonic::async_trait]
impl Files for Told {
    async fn hold(
        &self,
        _account: &AccountSlug,
        agent: Option<AgentId>,
        files: &[Uuid],
    ) -> Result<Vec<Uuid>, Status> {
        self.0.lock().unwrap().push((agent, files.to_vec()));
        Ok(files.to_vec())
    }
}

fn sends(key: &str, words: &str, files: &[Uuid]) -> pb::BotStep {
    let send = pb::bot_step::Send {
        text: (!words.is_empty()).then(|| plain(words)),
        attachment_ids: files.iter().map(Uuid::to_string).collect(),
    };
    step(key, pb::bot_step::Act::Send(send))
}

/// What a message holds, in its order.
fn held(parts: &[switchboard_proto::common::v1::ContentPart]) -> Vec<String> {
    let parts = parts.iter().filter_map(|part| part.content.as_ref());
    let words = parts.map(|content| match content {
        Content::Text(text) => text.text.clone(),
        Content::Attachment(file) => format!("[{}]", file.attachment_id),
        other => format!("{other:?}"),
    });
    words.collect()
}

#[tokio::test]
async fn f187_f189_a_bot_sends_words_and_files_in_one_message_each_as_an_agent_does() {
    let (world, others) = (World::new().await, Others::default());
    let steps = vec![
        sends("both", "Our prices, {{client.name}}", &[PRICES]),
        sends("file", "", &[PRICES]),
    ];
    let sender = world.bot(bot(steps)).await.unwrap();
    world.hello("7").await;
    world.start_bot("7", &sender).await.unwrap();
    world.go_on(&others, now()).await;
    let file = format!("[{PRICES}]");
    let expected = [vec![file.clone(), "Our prices, Ada".to_owned()], vec![file]];
    let queued = world.events_of::<pb::MessageQueued>().await;
    let commands = queued.into_iter().filter_map(|it| it.command);
    let commands: Vec<_> = commands.map(|it| (held(&it.parts), it.automatic)).collect();
    let automatic = expected.clone().map(|parts| (parts, true));
    assert_eq!(commands, automatic);
    let history = world.history("7").await;
    let mut stored: Vec<_> = history
        .iter()
        .filter(|message| message.kind() == Kind::Bot)
        .map(|message| held(&message.parts))
        .collect();
    stored.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn f187_a_file_that_is_not_there_is_refused_by_its_place_and_what_a_bot_has_is_not_looked_at()
{
    let world = World::new().await;
    let refused = world
        .bot(bot(vec![sends("both", "hello", &[PRICES, NOBODY])]))
        .await
        .unwrap_err();
    let details = refused.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|it| &*it.field).collect();
    assert_eq!(fields, ["bot.steps[0].send.attachment_ids[1]"]);
    assert!(violations[0].description.contains("step \"both\""));

    // The file of a bot may be gone one day; it can be renamed then, and given no other such.
    let made = world
        .bot(bot(vec![sends("both", "hello", &[PRICES])]))
        .await
        .unwrap();
    let with = |files: &[Uuid]| pb::Bot {
        name: "Greeter".into(),
        steps: vec![sends("both", "hello", files)],
        ..made.clone()
    };
    sqlx::query("update bot set body = $1, attachment_ids = array[$2::uuid]")
        .bind(
            pb::Bot {
                steps: with(&[NOBODY]).steps,
                ..Default::default()
            }
            .encode_to_vec(),
        )
        .bind(NOBODY)
        .execute(&world.db.pool)
        .await
        .unwrap();
    for (files, accepted) in [(&[NOBODY][..], true), (&[PRICES], true), (&[NOBODY], false)] {
        let change = pb::UpdateBotRequest {
            bot: Some(with(files)),
            ..Default::default()
        };
        let changed = world
            .bots()
            .update_bot(request(&world.as_service(), change))
            .await;
        assert_eq!(changed.is_ok(), accepted, "{files:?} {changed:?}");
    }
}

#[tokio::test]
async fn f187_files_of_bots_are_kept_on_every_day_and_those_of_deleted_ones_no_more() {
    let (world, told) = (World::new().await, Told::default());
    let other = Uuid::from_u128(0x9a1cf);
    let steps = vec![sends("a", "", &[PRICES, other]), sends("b", "", &[PRICES])];
    let made = world.bot(bot(steps)).await.unwrap();
    world.bot(bot(vec![say("no files")])).await.unwrap();
    let keep = async |days: i64| {
        let moment = now() + Duration::days(days);
        let count = keep::hold_on(&world.db.pool, &told, moment).await.unwrap();
        (count, std::mem::take(&mut *told.0.lock().unwrap()))
    };
    assert_eq!(
        keep(0).await,
        (0, vec![]),
        "it was told when the bot was made"
    );
    let both = vec![(None, vec![PRICES, other])];
    assert_eq!(keep(2).await, (1, both.clone()));
    assert_eq!(keep(2).await, (0, vec![]));
    assert_eq!(keep(4).await, (1, both));
    let fewer = pb::Bot {
        steps: vec![sends("b", "", &[other])],
        ..made.clone()
    };
    let change = pb::UpdateBotRequest {
        bot: Some(fewer),
        ..Default::default()
    };
    let (api, service) = (world.bots(), world.as_service());
    api.update_bot(request(&service, change)).await.unwrap();
    assert_eq!(keep(6).await, (1, vec![(None, vec![other])]));
    let delete = pb::DeleteBotRequest {
        bot_id: made.bot_id,
    };
    api.delete_bot(request(&service, delete)).await.unwrap();
    assert_eq!(keep(9).await, (0, vec![]));
}

#[tokio::test]
async fn f187_what_variables_make_long_goes_out_whole() {
    let (world, others) = (World::new().await, Others::default());
    let long = "{{client.name}}".repeat(50);
    let sender = world
        .bot(bot(vec![sends("long", &long, &[])]))
        .await
        .unwrap();
    world.hello("7").await;
    sqlx::query("update client set name = repeat('щ', 300)")
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.start_bot("7", &sender).await.unwrap();
    world.go_on(&others, now()).await;
    // Of each name so much as a variable shows; the gateway sends what no channel takes at once in several messages.
    assert_eq!(world.said("7").await, ["щ".repeat(50 * 200)]);
    assert_eq!(world.runs("7").await[0].state(), State::Finished);
}

#[tokio::test]
async fn f199_a_bot_from_before_messages_in_a_row_were_bounded_runs_on_and_can_be_renamed() {
    let (world, others) = (World::new().await, Others::default());
    let mut made = world.bot(bot(vec![say("0")])).await.unwrap();
    let says = |count: usize| (0..count).map(|number| say(&number.to_string())).collect();
    let long: Vec<pb::BotStep> = says(12);
    let refused = world.bot(bot(long.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    made.steps = long;
    let body = pb::Bot {
        steps: made.steps.clone(),
        ..Default::default()
    };
    sqlx::query("update bot set body = $1")
        .bind(body.encode_to_vec())
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.hello("7").await;
    world.start_bot("7", &made).await.unwrap();
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await.len(), 12);
    for (name, steps, accepted) in [
        ("Other", 12, true),
        ("Other", 13, false),
        ("Other", 9, true),
    ] {
        let change = pb::UpdateBotRequest {
            bot: Some(pb::Bot {
                name: name.into(),
                steps: says(steps),
                ..made.clone()
            }),
            ..Default::default()
        };
        let changed = world
            .bots()
            .update_bot(request(&world.as_service(), change))
            .await;
        assert_eq!(changed.is_ok(), accepted, "{steps} {changed:?}");
    }
}
