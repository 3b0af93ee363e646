//! Short links: in what goes out, and when a person follows one.

use std::sync::Arc;

use channel_gateway::http::links::{Door, router};
use chassis::http::Limits;
use chassis::testing;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{LinkClicked, UpdateChannelRequest};

use crate::world::{World, world};

const BROWSER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1";

async fn shorten(world: &World, shorten_links: bool) {
    let request = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        shorten_links: Some(shorten_links),
        ..UpdateChannelRequest::default()
    };
    let request = testing::request(&world.caller, request);
    let answer = world.api().update_channel(request).await.unwrap();
    let channel = answer.into_inner().channel.unwrap();
    assert_eq!(
        (channel.shorten_links, channel.name.as_str()),
        (shorten_links, "Shop")
    );
}

/// The text of the command as it waits for its turn.
async fn text(world: &World, out_seq: i64) -> String {
    sqlx::query_scalar("select params->>'text' from part where out_seq = $1")
        .bind(out_seq)
        .fetch_one(&world.app.pool)
        .await
        .unwrap()
}

/// A link, and a browser that does not follow it on.
struct Visit {
    http: reqwest::Client,
    url: String,
    _open: tokio_util::sync::DropGuard,
}

impl Visit {
    async fn open(world: &World, short: &str, address_field: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let routes = router(Arc::new(Door::new(world.app.clone(), address_field)));
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(chassis::http::serve(
            listener,
            None,
            routes,
            Limits::default(),
            stop.clone(),
        ));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            http,
            url: short.replace("https://gw.example", &base),
            _open: stop.drop_guard(),
        }
    }

    /// Returns the cookie that was given.
    async fn follow(
        &self,
        agent: &str,
        cookie: Option<&str>,
        from: Option<&str>,
    ) -> Option<String> {
        let mut request = self.http.get(&self.url).header("user-agent", agent);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(from) = from {
            request = request.header("x-forwarded-for", from);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 302);
        assert_eq!(
            answer.headers()["location"],
            "https://shop.example/%D1%87%D0%B5%D0%BA"
        );
        let cookie = answer.headers().get("set-cookie");
        cookie.map(|cookie| cookie.to_str().unwrap().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f193_cookies_that_one_place_makes_up_are_no_persons() {
    let world = world().await;
    shorten(&world, true).await;
    world
        .queue([world.command(1, 1, "https://shop.example/чек")])
        .await;
    let short = text(&world, 1).await;
    for (field, all_from_one, told) in [("", true, 10), ("x-forwarded-for", false, 20)] {
        sqlx::query("delete from link_click")
            .execute(&world.app.pool)
            .await
            .unwrap();
        sqlx::query("update short_link set clicks = 0, visitors = 0, counted = 0")
            .execute(&world.app.pool)
            .await
            .unwrap();
        let before = world.count("link.clicked").await;
        let visit = Visit::open(&world, &short, field).await;
        let mut first = None;
        for number in 0..30_u128 {
            let made_up = format!("sb_visitor={}", uuid::Uuid::from_u128(7_000 + number));
            // Two places, and what the caller says of its own does not count.
            let from = format!("198.51.100.{number}, 192.0.2.{}", number % 2);
            visit.follow(BROWSER, Some(&made_up), Some(&from)).await;
            first.get_or_insert(made_up);
        }
        let known = world.count("link.clicked").await - before;
        assert_eq!(known, told, "one place: {all_from_one}");
        let (rows, clicks): (i64, i32) =
            sqlx::query_as("select (select count(*) from link_click), clicks from short_link")
                .fetch_one(&world.app.pool)
                .await
                .unwrap();
        assert_eq!(
            (rows, clicks),
            (i64::try_from(told).unwrap(), 30),
            "visits count"
        );
        // Who is known uses nothing up, however often they come.
        visit
            .follow(BROWSER, first.as_deref(), Some("192.0.2.0"))
            .await;
        assert_eq!(world.count("link.clicked").await - before, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f192_f195_links_are_replaced_where_the_channel_wants_it_and_go_out_as_typed_elsewhere() {
    let world = world().await;
    let typed = "Ось: https://shop.example/p?x=1.";
    world.queue([world.command(1, 1, typed)]).await;
    assert_eq!(text(&world, 1).await, typed);
    shorten(&world, true).await;
    world.queue([world.command(1, 2, typed)]).await;
    let short = text(&world, 2).await;
    assert!(
        short.starts_with("Ось: https://gw.example/l/") && short.ends_with('.'),
        "{short}"
    );
    // The same message again, as a retry has it: the same link.
    let mut retry = world.command(1, 3, typed);
    retry.message_id = world.command(1, 2, typed).message_id;
    world.queue([retry]).await;
    assert_eq!(text(&world, 3).await, short);
    world.queue([world.command(1, 4, &short)]).await;
    assert_eq!(text(&world, 4).await, short, "a short link stays");
    let links: i64 = sqlx::query_scalar("select count(*) from short_link")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(links, 1);
    shorten(&world, false).await;
    world.queue([world.command(1, 5, typed)]).await;
    assert_eq!(text(&world, 5).await, typed);
}

#[tokio::test(flavor = "multi_thread")]
async fn f196_without_shortening_nobody_is_known_by_a_click() {
    let world = world().await;
    world
        .queue([world.command(1, 1, "https://shop.example/p")])
        .await;
    for table in ["short_link", "link_click"] {
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}")))
                .fetch_one(&world.app.pool)
                .await
                .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(world.count("link.clicked").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f191_f193_a_click_leads_on_and_is_told_once_a_person() {
    let world = world().await;
    shorten(&world, true).await;
    world
        .queue([world.command(1, 1, "https://shop.example/чек")])
        .await;
    let short = text(&world, 1).await;
    let visit = Visit::open(&world, &short, "x-forwarded-for").await;
    let place = std::sync::atomic::AtomicU32::new(0);
    let follow = async |agent: &str, cookie: Option<&str>| {
        // Each from somewhere else.
        let place = place.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let place = std::net::Ipv4Addr::from(0xc000_0200 + place).to_string();
        visit.follow(agent, cookie, Some(&place)).await
    };
    assert_eq!(follow("TelegramBot (like TwitterBot)", None).await, None);
    assert_eq!(
        world.count("link.clicked").await,
        0,
        "a preview is no click"
    );
    let cookie = follow(BROWSER, None).await.unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"));
    let own = cookie.split(';').next().unwrap();
    assert_eq!(follow(BROWSER, Some(&format!("a=b; {own}"))).await, None);
    follow(BROWSER, Some(own)).await;
    assert_eq!(world.count("link.clicked").await, 1);
    follow(BROWSER, None).await.unwrap();
    assert_eq!(world.count("link.clicked").await, 2, "another person");
    let events = world.events().await;
    let clicked = events
        .iter()
        .find(|(name, _)| name == "link.clicked")
        .unwrap();
    let clicked = LinkClicked::decode(clicked.1.clone()).unwrap();
    assert_eq!(clicked.url, "https://shop.example/%D1%87%D0%B5%D0%BA");
    assert_eq!(clicked.message_id, world.command(1, 1, "").message_id);
    assert_eq!(clicked.visitor_id, own.split_once('=').unwrap().1);
    for _ in 0..110 {
        follow(BROWSER, None).await.unwrap();
    }
    let (rows, clicks): (i64, i32) =
        sqlx::query_as("select (select count(*) from link_click), clicks from short_link")
            .fetch_one(&world.app.pool)
            .await
            .unwrap();
    assert_eq!(
        (rows, clicks),
        (100, 112),
        "beyond them visits are only counted"
    );
    assert_eq!(world.count("link.clicked").await, 100);
    follow(BROWSER, Some(own)).await;
    sqlx::query("update short_link set counted_on = counted_on - 1")
        .execute(&world.app.pool)
        .await
        .unwrap();
    follow(BROWSER, None).await.unwrap();
    assert_eq!(
        world.count("link.clicked").await,
        101,
        "the next day others are told"
    );
    let clicks: i32 = sqlx::query_scalar("select clicks from short_link")
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert_eq!(clicks, 113, "who is known is counted once");
    let unknown = visit
        .url
        .replace(short.rsplit('/').next().unwrap(), "unknown");
    let unknown = visit.http.get(unknown).send().await.unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
}
