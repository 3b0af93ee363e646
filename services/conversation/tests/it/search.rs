//! Messages are found by their words (B12).

mod chats;
mod plans;

use std::collections::BTreeSet;

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::auth::Caller;
use chassis::consumer::{Delivery, Handler as _};
use chassis::testing::{caller, full_access, request, service_caller, take_outbox};
use conversation::app::search::Searches;
use conversation::app::search_words::fill;
use conversation::grpc::search::Api;
use conversation::search::Search;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1::{self as common, content_part::Content};
use switchboard_proto::conversation::v1::chat_service_server::ChatService as _;
use switchboard_proto::conversation::v1::search_service_server::SearchService as _;
use switchboard_proto::conversation::v1::{self as pb, message::Kind as Of};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, inbound_message, noon, parts, plain, reason, text_of};

async fn handle(world: &World, batch: &[Delivery]) {
    let handler = Search::new(world.db.pool.clone());
    handler.handle(batch, at(3_600)).await.unwrap();
}

/// Hands all that was published to the search.
async fn heard(world: &World) -> Vec<Delivery> {
    let events = take_outbox(&world.db.pool).await;
    handle(world, &events).await;
    events
}

fn ask(text: &str) -> pb::SearchMessagesRequest {
    pb::SearchMessagesRequest {
        text: text.into(),
        ..Default::default()
    }
}

async fn search(
    world: &World,
    by: &Caller,
    ask: pb::SearchMessagesRequest,
) -> Result<pb::SearchMessagesResponse, Status> {
    let api = Api(Searches::new(world.db.pool.clone()));
    let answer = api.search_messages(request(by, ask)).await?;
    Ok(answer.into_inner())
}

/// Texts of all messages that are found, sorted.
async fn found(world: &World, by: &Caller, ask: pb::SearchMessagesRequest) -> Vec<String> {
    let answer = search(world, by, ask).await.unwrap();
    let hits = answer.hits.iter();
    let mut texts: Vec<String> = hits
        .map(|hit| text_of(hit.message.as_ref().unwrap()))
        .collect();
    texts.sort();
    texts
}

fn edit(world: &World, key: &str, second: i64, text: &str) -> gateway::InboundEvent {
    let kind = Kind::Edit(gateway::InboundEdit {
        own_app: false,
        provider_key: key.into(),
        message: Some(inbound_message(key, text)),
        sent_at: Some(chassis::grpc::timestamp(noon())),
    });
    world.item(&format!("edit:{key}:{second}"), "7", at(second), kind)
}

fn deletion(world: &World, key: &str, second: i64) -> gateway::InboundEvent {
    let provider_keys = vec![key.to_owned()];
    let kind = Kind::Deletion(gateway::InboundDeletion { provider_keys });
    world.item(&format!("delete:{key}"), "7", at(second), kind)
}

#[tokio::test]
async fn b12_messages_are_found_by_texts_subjects_and_names_of_files() {
    let world = World::new().await;
    let mut mail = inbound_message("8/2", "Доброго дня");
    mail.subject = "Рахунок №42".into();
    let mut file = inbound_message("8/3", "Ось");
    file.parts.push(common::ContentPart {
        content: Some(Content::Attachment(common::Attachment {
            file_name: "Price_list.PDF".into(),
            ..Default::default()
        })),
    });
    world
        .receive(&[
            world.message("7", "1", at(1), "Чи є П’ЯТЬ розмірів?"),
            world.item("mail", "8", at(2), Kind::Message(mail)),
            world.item("file", "8", at(3), Kind::Message(file)),
        ])
        .await;
    let ann = world.as_agent("ann");
    world
        .send(&ann, "7", "r1", "Є п'ять і шість")
        .await
        .unwrap();
    let note = pb::AddNoteRequest {
        request_id: "r2".into(),
        chat_id: world.chat("7").to_string(),
        text: Some(plain("Платить готівкою за п'ять")),
    };
    world.api.add_note(request(&ann, note)).await.unwrap();
    heard(&world).await;
    for (text, expected) in [
        (
            "пять",
            &[
                "Є п'ять і шість",
                "Платить готівкою за п'ять",
                "Чи є П’ЯТЬ розмірів?",
            ][..],
        ),
        ("ПЯТЬ розмiр", &["Чи є П’ЯТЬ розмірів?"]),
        ("розмір пять", &[]),
        ("\"п'ять і\"", &["Є п'ять і шість"]),
        ("пять -готівкою -шість", &["Чи є П’ЯТЬ розмірів?"]),
        (
            "готівкою or шість",
            &["Є п'ять і шість", "Платить готівкою за п'ять"],
        ),
        ("рахунок 42", &["Доброго дня"]),
        ("list.pd", &["Ось"]),
        ("opened", &[]),
        ("нема", &[]),
    ] {
        assert_eq!(found(&world, &ann, ask(text)).await, expected, "{text}");
    }
    let answer = search(&world, &ann, ask("розмір")).await.unwrap();
    let hit = &answer.hits[0];
    assert_eq!(
        hit.message.as_ref().unwrap().chat_id,
        world.chat("7").to_string()
    );
    assert_eq!(
        (hit.client_name.as_str(), hit.channel_id.parse()),
        ("Ada", Ok(world.channel))
    );
    let snippet = hit.snippet.as_ref().unwrap();
    let range = pb::TextRange {
        offset: 11,
        length: 8,
    };
    assert_eq!(
        (snippet.text.as_str(), &snippet.matches[..]),
        ("Чи є П’ЯТЬ розмірів?", &[range][..])
    );
    assert!(!answer.cut && answer.next_page_token.is_empty());
    for refused in ["", " ", "-пять", "?!", "a or -b", &"x".repeat(201)] {
        let status = search(&world, &ann, ask(refused)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{refused}");
    }
}

type Change<'c> = &'c dyn Fn(&mut pb::SearchMessagesRequest);

#[tokio::test]
async fn b12_a_search_is_narrowed_by_chat_channel_kind_and_time() {
    let world = World::new().await;
    let mut elsewhere = world.message("9", "1", at(3), "ціна три");
    elsewhere.channel_id = Uuid::from_u128(0xc4a2).to_string();
    world
        .receive(&[
            world.message("7", "1", at(1), "ціна раз"),
            world.message("8", "1", at(2), "ціна два"),
            elsewhere,
        ])
        .await;
    world
        .send(&world.as_agent("ann"), "7", "r", "ціна агента")
        .await
        .unwrap();
    heard(&world).await;
    let by = world.as_service();
    let time = |second| Some(chassis::grpc::timestamp(at(second)));
    let (chat, other) = (
        world.chat("7").to_string(),
        Uuid::from_u128(0xc4a2).to_string(),
    );
    let cases: [(Change<'_>, &[&str]); 6] = [
        (
            &|ask| ask.chat_id.clone_from(&chat),
            &["ціна агента", "ціна раз"],
        ),
        (&|ask| ask.channel_id.clone_from(&other), &["ціна три"]),
        (&|ask| ask.channel_id = Uuid::max().to_string(), &[]),
        (
            &|ask| ask.kinds = vec![Of::Agent.into(), Of::Note.into()],
            &["ціна агента"],
        ),
        (
            &|ask| (ask.since_time, ask.until_time) = (time(2), time(3)),
            &["ціна два"],
        ),
        (&|ask| ask.until_time = time(-300_000), &[]),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let mut narrowed = ask("ціна");
        change(&mut narrowed);
        assert_eq!(found(&world, &by, narrowed).await, expected, "{number}");
    }
    let mut system = ask("ціна");
    system.kinds = vec![Of::System.into()];
    let refused = search(&world, &by, system).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn b12_f062_f175_only_messages_that_the_caller_may_see_are_found() {
    let world = World::new().await;
    let mut elsewhere = world.message("9", "1", at(3), "ціна там");
    elsewhere.channel_id = Uuid::from_u128(0xc4a2).to_string();
    world
        .receive(&[world.message("7", "1", at(1), "ціна тут"), elsewhere])
        .await;
    heard(&world).await;
    let ann = agent("ann");
    let by = |change: &dyn Fn(&mut chassis::access::AccessRecord)| {
        let mut access = full_access(ann);
        change(&mut access);
        caller(&world.account, ann, &["chats:*"], access)
    };
    let granted = by(&|access| access.channels = ChannelGrant::Some([world.channel].into()));
    let nothing = by(&|access| access.channels = ChannelGrant::Some([].into()));
    let other = chassis::testing::account("other");
    let other = service_caller(Some(&other), "shop", &["chats:*"], None);
    for (by, expected) in [
        (&world.as_agent("ann"), &["ціна там", "ціна тут"][..]),
        (&granted, &["ціна тут"]),
        (&nothing, &[]),
        (&other, &[]),
    ] {
        assert_eq!(found(&world, by, ask("ціна")).await, expected);
    }
    let channel_id = Uuid::from_u128(0xc4a2).to_string();
    let hidden = pb::SearchMessagesRequest {
        channel_id,
        ..ask("ціна")
    };
    assert_eq!(found(&world, &granted, hidden).await, [""; 0]);
    let chat_id = world.chat("7").to_string();
    let hidden = pb::SearchMessagesRequest {
        chat_id,
        ..ask("ціна")
    };
    for by in [&nothing, &other] {
        let status = search(&world, by, hidden.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "CHAT_NOT_FOUND");
    }
    let none = by(&|access| access.chats = ChatAccess::None);
    let status = search(&world, &none, ask("ціна")).await.unwrap_err();
    assert_eq!(reason(&status), "CHAT_ACCESS_MISSING");
}

#[tokio::test]
async fn b12_edited_and_deleted_messages_are_found_as_they_are_in_every_order_of_events() {
    let world = World::new().await;
    let by = world.as_service();
    let mut events = Vec::new();
    world
        .receive(&[
            world.message("7", "1", at(1), "стара назва"),
            world.message("7", "2", at(2), "стара ціна"),
        ])
        .await;
    events.extend(heard(&world).await);
    assert_eq!(
        found(&world, &by, ask("стара")).await,
        ["стара назва", "стара ціна"]
    );
    world
        .receive(&[
            edit(&world, "7/1", 10, "нова назва"),
            deletion(&world, "7/2", 11),
        ])
        .await;
    // What was deleted is not shown even before the search has heard of it.
    assert_eq!(found(&world, &by, ask("ціна")).await, [""; 0]);
    events.extend(heard(&world).await);
    let table =
        "select coalesce(jsonb_agg(t order by message_id), '[]')::text from message_words t";
    let words = || async {
        sqlx::query_scalar::<_, String>(table)
            .fetch_one(&world.db.pool)
            .await
            .unwrap()
    };
    let expected = words().await;
    let as_it_is = async || {
        assert_eq!(words().await, expected);
        assert_eq!(found(&world, &by, ask("стара")).await, [""; 0]);
        assert_eq!(found(&world, &by, ask("нова")).await, ["нова назва"]);
    };
    as_it_is().await;
    handle(&world, &events).await;
    as_it_is().await;
    for turn in 0..events.len() {
        sqlx::raw_sql("truncate message_words, message_words_begin")
            .execute(&world.db.pool)
            .await
            .unwrap();
        events.rotate_left(1);
        for event in events.iter().rev().skip(turn % 2).chain(&events) {
            handle(&world, std::slice::from_ref(event)).await;
        }
        as_it_is().await;
    }
}

/// Writes so many messages into the chat 7, one an hour back from noon, which tell their numbers.
async fn write(world: &World, count: i32) {
    world
        .receive(&[world.message("7", "1", at(0), "перше")])
        .await;
    let body = |text: &str| {
        pb::Message {
            parts: parts(text),
            ..Default::default()
        }
        .encode_to_vec()
    };
    let bodies: Vec<Vec<u8>> = (1..=count).map(|n| body(&format!("слово {n}"))).collect();
    sqlx::query(
        "insert into message (message_id, account, chat_id, channel_id, kind, body, provider_key, provider_number, time, sequence, created_at)
         select gen_random_uuid(), 'acme', $1, $2, 'client', body, 'n' || n, n, $3::timestamptz - n * interval '1 hour', n + 10, $3
         from unnest($4::bytea[]) with ordinality as new (body, n)",
    )
    .bind(world.chat("7"))
    .bind(world.channel)
    .bind(noon())
    .bind(bodies)
    .execute(&world.db.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn b12_what_was_there_is_filled_in_and_of_many_the_newest_are_ranked_over_pages() {
    let world = World::new().await;
    write(&world, 10_050).await;
    while fill(&world.db.pool, at(3_600)).await.unwrap() {}
    assert_eq!(
        world.count("select count(*) from message_words").await,
        10_051
    );
    assert!(!fill(&world.db.pool, at(3_600)).await.unwrap(), "once");
    let by = world.as_service();
    let mut ask = pb::SearchMessagesRequest {
        page_size: 200,
        ..ask("слово")
    };
    let (mut ids, mut pages) = (BTreeSet::new(), 0);
    loop {
        let answer = search(&world, &by, ask.clone()).await.unwrap();
        assert!(answer.cut);
        if pages == 0 {
            let first = answer.hits[0].message.as_ref().unwrap();
            assert_eq!(text_of(first), "слово 1", "of equal ones the newest first");
        }
        ids.extend(
            answer
                .hits
                .into_iter()
                .map(|hit| hit.message.unwrap().message_id),
        );
        pages += 1;
        ask.page_token = answer.next_page_token;
        if ask.page_token.is_empty() {
            break;
        }
    }
    assert_eq!((ids.len(), pages), (10_000, 50), "each once");
    // What is rarer is found however old, and nothing is cut.
    let answer = search(&world, &by, self::ask("слово 10050")).await.unwrap();
    assert_eq!((answer.hits.len(), answer.cut), (1, false));
}

#[tokio::test]
async fn b12_searches_take_turns_and_leave_connections_to_lists() {
    let world = World::new().await;
    heard(&world).await;
    let all = i64::from(world.db.pool.options().get_max_connections());
    let (running, waiting) = ((all / 4).max(1), 64);
    let by = world.as_service();
    // Searches stand still behind this lock.
    let mut lock = world.db.pool.begin().await.unwrap();
    let locked = "lock table message_words_begin in access exclusive mode";
    sqlx::raw_sql(locked).execute(&mut *lock).await.unwrap();
    let api = Api(Searches::new(world.db.pool.clone()));
    let search = || api.search_messages(request(&by, ask("кава")));
    let asked = (0..running + waiting + 3).map(|_| search());
    let mut asked: FuturesUnordered<_> = asked.collect();
    for _ in 0..3 {
        let refused = asked.next().await.unwrap().unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(reason(&refused), "TOO_MANY_SEARCHES");
    }
    let at_work = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let listed = async {
        loop {
            let waiting: i64 = sqlx::query_scalar(at_work)
                .fetch_one(&world.db.pool)
                .await
                .unwrap();
            if waiting >= running {
                break waiting;
            }
        }
    };
    tokio::select! {
        at_once = listed => assert_eq!(at_once, running),
        answer = asked.next() => panic!("answered behind a lock: {answer:?}"),
    }
    lock.rollback().await.unwrap();
    let mut answered = 0;
    while let Some(answer) = asked.next().await {
        answer.unwrap();
        answered += 1;
    }
    assert_eq!(answered, running + waiting);
}
