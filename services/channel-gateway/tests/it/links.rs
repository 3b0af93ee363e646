//! Short links: in what goes out, and when a person follows one.

use channel_gateway::http::links::router;
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
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = router(world.app.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let url = short.replace("https://gw.example", &base);
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let follow = async |agent: &str, cookie: Option<&str>| {
        let request = http.get(&url).header("user-agent", agent);
        let request = match cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 302);
        assert_eq!(
            answer.headers()["location"],
            "https://shop.example/%D1%87%D0%B5%D0%BA"
        );
        let cookie = answer.headers().get("set-cookie");
        cookie.map(|cookie| cookie.to_str().unwrap().to_owned())
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
    let unknown = http.get(format!("{base}/l/unknown")).send().await.unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
}
