//! Clients' photos (F067): looked for beside messages, told once they are in the store, replaced, and gone again.

mod told;

use std::path::Path;
use std::time::Duration;

use channel_gateway::app::photos::asked::Noted;
use channel_gateway::app::{file_sweep, photos};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::telegram;
use channel_gateway::files::source::{Source, Sources};
use channel_gateway::files::telegram::FromTelegram;
use channel_gateway::files::web::Web;
use channel_gateway::provider::telegram::BotApi;
use chassis::clock;
use chassis::consumer::{Delivery, Handler as _};
use prost::Message as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::{ClientDescribed, InboundEvent};
use switchboard_proto::common::v1::attachment;
use switchboard_proto::conversation::v1::MessageQueued;
use switchboard_tests::telegram::StandIn as Telegram;
use tonic::Code;
use uuid::Uuid;

use crate::fetches::PNG;
use crate::uploads::{Port, agent, link, state};
use crate::world::{World, world};

const TOKEN: &str = "7900001:AAEsecret-secret-secret-secret-secr";
const CLIENT: i64 = 5_540_012_873;

fn sources(world: &World, allow_private: bool) -> Sources {
    Sources {
        web: Web::new(allow_private, Duration::from_secs(5)).unwrap(),
        telegram: FromTelegram::new(world.app.bots.clone(), world.app.files.max_size),
    }
}

/// Looks for what is due, each at the same time; returns how many that were.
async fn look(world: &World, source: &dyn Source) -> usize {
    let work = photos::claim(&world.app, 8, clock::now()).await.unwrap();
    let count = work.len();
    let looks = work
        .into_iter()
        .map(|work| photos::look_for(&world.app, source, work));
    for looked in futures::future::join_all(looks).await {
        looked.unwrap();
    }
    count
}

/// A day goes by: whoever writes is looked at again.
async fn age(world: &mut World, hours: i32) {
    sqlx::query("update client_photo set asked_at = asked_at - make_interval(hours => $1)")
        .bind(hours)
        .execute(&world.app.pool)
        .await
        .unwrap();
    world.app.photos = Noted::default();
}

/// What waits is due.
async fn due(world: &World) {
    sqlx::query("update client_photo set due_at = now() where due_at is not null")
        .execute(&world.app.pool)
        .await
        .unwrap();
}

async fn waiting(world: &World) -> i64 {
    sqlx::query_scalar(
        "select count(*) from client_photo where due_at is not null or lease_until is not null",
    )
    .fetch_one(&world.app.pool)
    .await
    .unwrap()
}

fn delivery(world: &World, event: &InboundEvent) -> Delivery {
    let mut delivery = world.delivery(&MessageQueued::default());
    delivery.payload = event.encode_to_vec().into();
    "INBOUND_0".clone_into(&mut delivery.origin.stream);
    delivery
}

async fn hear(world: &World, item: Delivery) {
    world.inbound().handle(&[item], clock::now()).await.unwrap();
}

fn line(world: &World, channel: Uuid) -> Line<'_> {
    Line {
        account: world.account.as_str(),
        channel,
        provider_account: "7900001",
    }
}

/// A message of the client to the bot.
async fn wrote(world: &World, channel: Uuid, update: i64) {
    let update = json!({ "update_id": update, "message": { "message_id": update, "date": 1_790_764_802, "text": "A?",
        "from": { "id": CLIENT, "is_bot": false, "first_name": "O" }, "chat": { "id": CLIENT, "type": "private" } } });
    let raw = update.to_string().into_bytes().into();
    let event = telegram::normalise(line(world, channel), &raw, clock::now()).remove(0);
    hear(world, delivery(world, &event)).await;
}

/// What was told of photos: the ids, empty where there was none any more.
async fn told(world: &World) -> Vec<ClientDescribed> {
    let events = world.events().await.into_iter();
    let told = events.filter(|(name, _)| name == "client.described");
    let told = told.map(|(_, payload)| ClientDescribed::decode(payload).unwrap());
    told.filter(|told| told.photo_attachment_id.is_some())
        .collect()
}

async fn ids(world: &World) -> Vec<String> {
    let told = told(world).await.into_iter();
    told.filter_map(|told| told.photo_attachment_id).collect()
}

fn objects(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| if path.is_dir() { objects(&path) } else { 1 })
        .sum()
}

async fn sweep(world: &World, hours: i64) {
    let now = clock::now() + time::Duration::hours(hours);
    file_sweep::step(&world.app, now).await.unwrap();
}

/// A world with a bot at the stand-in for Telegram.
async fn with_telegram() -> (World, Telegram, Uuid) {
    let mut world = world().await;
    let telegram = Telegram::start().await.unwrap();
    world.config.telegram.api_url = telegram.url();
    world.app.bots = BotApi::new(&world.config.telegram).unwrap();
    let channel = world.create(TOKEN, "").await.unwrap();
    channel_gateway::app::connection::enable(&world.app, &world.caller, channel, clock::now())
        .await
        .unwrap();
    (world, telegram, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_a_photo_of_telegram_is_told_once_it_is_stored_and_opens_for_who_sees_the_channel() {
    let (mut world, telegram, channel) = Box::pin(with_telegram()).await;
    let port = Port::open(&mut world).await;
    let source = sources(&world, true);
    telegram.put_photo(TOKEN, CLIENT, PNG.into()).unwrap();
    wrote(&world, channel, 1).await;
    assert!(told(&world).await.is_empty(), "nobody waits for it");
    look(&world, &source).await;
    wrote(&world, channel, 2).await;
    look(&world, &source).await;
    let [told] = told(&world).await.try_into().unwrap();
    assert_eq!(
        (told.channel_id, told.chat_key.as_str(), told.client),
        (channel.to_string(), "5540012873", None)
    );
    let photo = told.photo_attachment_id.unwrap();
    let (colleague, stranger) = (agent(&world, &[channel]), agent(&world, &[world.channel]));
    let file = state(&world, &colleague, &photo).await.unwrap();
    assert_eq!(
        (file.kind(), file.state(), file.media_type.as_str()),
        (
            attachment::Kind::Photo,
            attachment::State::Stored,
            "image/png"
        )
    );
    assert_eq!(link(&world, &stranger, &photo).await, Err(Code::NotFound));
    let url = link(&world, &colleague, &photo).await.unwrap();
    assert_eq!(port.get(&url).await.bytes().await.unwrap(), PNG);
    assert_eq!(
        world.count("attachment.stored").await,
        0,
        "no message holds it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_a_photo_in_use_stays_and_one_that_is_replaced_or_taken_away_goes() {
    let (mut world, telegram, channel) = Box::pin(with_telegram()).await;
    let source = sources(&world, true);
    let folder = world.config.files.folder.clone();
    telegram.put_photo(TOKEN, CLIENT, PNG.into()).unwrap();
    wrote(&world, channel, 1).await;
    look(&world, &source).await;

    // The same a day later: nothing is said. Another within the hour: not looked at.
    age(&mut world, 25).await;
    wrote(&world, channel, 2).await;
    look(&world, &source).await;
    telegram
        .put_photo(TOKEN, CLIENT, [PNG, b"2"].concat().into())
        .unwrap();
    age(&mut world, 2).await;
    wrote(&world, channel, 3).await;
    look(&world, &source).await;
    assert_eq!((ids(&world).await.len(), objects(&folder)), (1, 1));
    sweep(&world, 240).await;
    assert_eq!(objects(&folder), 1, "what is shown is kept");

    age(&mut world, 25).await;
    wrote(&world, channel, 4).await;
    look(&world, &source).await;
    let [first, second] = ids(&world).await.try_into().unwrap();
    assert_ne!(first, second);
    assert_eq!(objects(&folder), 2);
    assert_eq!(
        link(&world, &world.caller, &first).await,
        Err(Code::FailedPrecondition)
    );
    sweep(&world, 0).await;
    assert_eq!(objects(&folder), 1);
    assert_eq!(
        state(&world, &world.caller, &first).await,
        Err(Code::NotFound)
    );
    assert!(link(&world, &world.caller, &second).await.is_ok());

    telegram
        .put_photo(TOKEN, CLIENT, Vec::new().into())
        .unwrap();
    age(&mut world, 25).await;
    wrote(&world, channel, 5).await;
    look(&world, &source).await;
    sweep(&world, 0).await;
    assert_eq!(ids(&world).await[2..], [String::new()]);
    assert_eq!(objects(&folder), 0);
    let rows: i64 = sqlx::query_scalar("select count(*) from attachment")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_of_what_a_dead_process_was_fetching_nothing_stays() {
    let (world, telegram, channel) = Box::pin(with_telegram()).await;
    let source = sources(&world, true);
    telegram.put_photo(TOKEN, CLIENT, PNG.into()).unwrap();
    wrote(&world, channel, 1).await;
    // It died between the bytes and the word that they are there: somebody else has the lease by then.
    sqlx::query(
        "create function steal() returns trigger language plpgsql as $$ begin
             update client_photo set fence = fence + 1, due_at = now(), lease_until = null; return null; end $$",
    )
    .execute(&world.app.pool)
    .await
    .unwrap();
    sqlx::query("create trigger steal after insert on attachment execute function steal()")
        .execute(&world.app.pool)
        .await
        .unwrap();
    look(&world, &source).await;
    assert!(told(&world).await.is_empty(), "the lease was lost");
    sqlx::query("drop trigger steal on attachment")
        .execute(&world.app.pool)
        .await
        .unwrap();
    due(&world).await;
    look(&world, &source).await;
    let [photo] = ids(&world).await.try_into().unwrap();
    let folder = &world.config.files.folder;
    assert_eq!(objects(folder), 2);
    sweep(&world, 2).await;
    assert_eq!(objects(folder), 1);
    assert!(link(&world, &world.caller, &photo).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_a_photo_waits_for_a_channel_that_cannot_ask_and_one_replica_looks_for_it() {
    let (world, telegram, channel) = Box::pin(with_telegram()).await;
    let source = sources(&world, true);
    telegram.put_photo(TOKEN, CLIENT, PNG.into()).unwrap();
    wrote(&world, channel, 1).await;
    let set = async |state: &str| {
        sqlx::query("update channel set state = $2 where id = $1")
            .bind(channel)
            .bind(state)
            .execute(&world.app.pool)
            .await
            .unwrap();
        world.app.book.refresh().await.unwrap();
    };
    set("disabled").await;
    for _ in 0..8 {
        look(&world, &source).await;
        due(&world).await;
    }
    assert!(ids(&world).await.is_empty());
    set("enabled").await;
    tokio::join!(look(&world, &source), look(&world, &source));
    assert_eq!(ids(&world).await.len(), 1);
}

/// Many who wrote are looked at a few at a time, each channel for itself.
#[tokio::test(flavor = "multi_thread")]
async fn f067_a_channel_with_many_clients_holds_up_no_other() {
    let (world, _telegram, channel) = Box::pin(with_telegram()).await;
    let add = async |channel: Uuid, clients: i32, minutes_ago: i32| {
        sqlx::query(
            "insert into client_photo (chat_id, channel_id, chat_key, account, user_id, due_at, asked_at)
             select gen_random_uuid(), $1, n::text, $2, n::text, now() - make_interval(mins => $4), now()
             from generate_series(1, $3) n",
        )
        .bind(channel)
        .bind(world.account.as_str())
        .bind(clients)
        .bind(minutes_ago)
        .execute(&world.app.pool)
        .await
        .unwrap();
    };
    add(channel, 50, 5).await;
    add(world.channel, 1, 1).await;
    assert_eq!(look(&world, &sources(&world, true)).await, 3);
    let looked_at: Vec<(Uuid, i64)> = sqlx::query_as(
        "select channel_id, count(*) from client_photo where fence > 0 group by 1 order by 2",
    )
    .fetch_all(&world.app.pool)
    .await
    .unwrap();
    assert_eq!(looked_at, [(world.channel, 1), (channel, 2)]);
}
