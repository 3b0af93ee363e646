//! Lists of cards by every filter: what they find, and that indexes serve every combination.

use chassis::access::{KindAccess, View};
use chassis::testing;
use crm_cards::store::Before;
use crm_cards::store::card_lists::{Filter, Order, Responsible, Span, statements};
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::list_cards_request::{Order as WireOrder, Owner};
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::lists::{fill, uuid_of};
use crate::world::{Chat, Tenant, World, field, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);

async fn titles(world: &World, tenant: &Tenant, request: ListCardsRequest) -> Vec<String> {
    let answer = world.api.list_cards(tenant.ask(request)).await.unwrap();
    let cards = answer.into_inner().cards.into_iter();
    cards.map(|card| card.title).collect()
}

/// Cards "Client 1" from a chat, "Oak table" of Anna with a source, "Oak shelf" in another pipeline; the newest first.
async fn filled() -> (World, Tenant, [Pipeline; 2], String) {
    let (world, tenant) = (world().await, tenant());
    let first = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    world
        .handle(&[tenant.opening(chat, 1).delivery()])
        .await
        .unwrap();
    let source = CreateSourceRequest {
        name: "Fair".into(),
        ..CreateSourceRequest::default()
    };
    let source = world.api.create_source(tenant.ask(source)).await.unwrap();
    let source = source.into_inner().source.unwrap().source_id;
    let table = CreateCardRequest {
        title: "Oak table".into(),
        pipeline_id: first.pipeline_id.clone(),
        source_id: source.clone(),
        responsible_agent_id: ANNA.to_string(),
        ..CreateCardRequest::default()
    };
    world.new_card(&tenant, table).await.unwrap();
    let second = world.pipeline(&tenant).await;
    let contact = world.contacts(&tenant).await.remove(0).contact_id;
    let shelf = CreateCardRequest {
        title: "Oak shelf".into(),
        pipeline_id: second.pipeline_id.clone(),
        contact_id: contact,
        ..CreateCardRequest::default()
    };
    let shelf = world.new_card(&tenant, shelf).await.unwrap();
    world
        .move_card(&tenant, &second, &shelf.card_id, StatusKind::InProgress)
        .await;
    (world, tenant, [first, second], source)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of filters")]
async fn f158_cards_are_listed_by_each_filter() {
    let (world, tenant, [first, second], source) = filled().await;
    let chat = &world.cards(&tenant).await[2];
    let none = ListCardsRequest::default;
    let ids = |statuses: &[&Status]| {
        statuses
            .iter()
            .map(|status| status.status_id.clone())
            .collect()
    };
    let now = chassis::grpc::timestamp(chassis::clock::now());
    for (name, request, expected) in [
        ("all", none(), vec!["Oak shelf", "Oak table", "Client 1"]),
        (
            "by pipeline",
            ListCardsRequest {
                pipeline_id: first.pipeline_id.clone(),
                ..none()
            },
            vec!["Oak table", "Client 1"],
        ),
        (
            "by statuses",
            ListCardsRequest {
                status_ids: ids(&[&second.statuses[1], &first.statuses[1]]),
                ..none()
            },
            vec!["Oak shelf"],
        ),
        (
            "by statuses of another pipeline",
            ListCardsRequest {
                status_ids: ids(&[&second.statuses[1]]),
                pipeline_id: first.pipeline_id.clone(),
                ..none()
            },
            vec![],
        ),
        (
            "by kind and pipeline",
            ListCardsRequest {
                status_kinds: vec![StatusKind::InProgress.into()],
                pipeline_id: second.pipeline_id.clone(),
                ..none()
            },
            vec!["Oak shelf"],
        ),
        (
            "of an agent",
            ListCardsRequest {
                responsible_agent_id: ANNA.to_string(),
                ..none()
            },
            vec!["Oak table"],
        ),
        (
            "of nobody",
            ListCardsRequest {
                owner: Owner::None.into(),
                ..none()
            },
            vec!["Oak shelf", "Client 1"],
        ),
        (
            "mine, of a service",
            ListCardsRequest {
                owner: Owner::Mine.into(),
                ..none()
            },
            vec![],
        ),
        (
            "by source",
            ListCardsRequest {
                source_id: source.clone(),
                ..none()
            },
            vec!["Oak table"],
        ),
        (
            "by messenger",
            ListCardsRequest {
                messenger: "telegram".into(),
                ..none()
            },
            vec!["Client 1"],
        ),
        (
            "by another messenger",
            ListCardsRequest {
                messenger: "viber".into(),
                ..none()
            },
            vec![],
        ),
        (
            "by contact",
            ListCardsRequest {
                contact_id: chat.contact_id.clone(),
                ..none()
            },
            vec!["Oak shelf", "Client 1"],
        ),
        (
            "by chat",
            ListCardsRequest {
                chat_id: chat.chat_id.clone(),
                ..none()
            },
            vec!["Client 1"],
        ),
        (
            "by the beginning of a word",
            ListCardsRequest {
                text: "OA".into(),
                ..none()
            },
            vec!["Oak shelf", "Oak table"],
        ),
        (
            "by two words",
            ListCardsRequest {
                text: "tab, oak".into(),
                ..none()
            },
            vec!["Oak table"],
        ),
        (
            "by the contact's name",
            ListCardsRequest {
                text: "client".into(),
                ..none()
            },
            vec!["Oak shelf", "Client 1"],
        ),
        (
            "by the middle of a word",
            ListCardsRequest {
                text: "able".into(),
                ..none()
            },
            vec![],
        ),
        (
            "by signs alone",
            ListCardsRequest {
                text: "'!&".into(),
                ..none()
            },
            vec![],
        ),
        (
            "created before now",
            ListCardsRequest {
                create_time_to: Some(now),
                ..none()
            },
            vec!["Oak shelf", "Oak table", "Client 1"],
        ),
        (
            "created from now on",
            ListCardsRequest {
                create_time_from: Some(now),
                ..none()
            },
            vec![],
        ),
        (
            "changed from now on",
            ListCardsRequest {
                update_time_from: Some(now),
                ..none()
            },
            vec![],
        ),
        (
            "changed before now, by source",
            ListCardsRequest {
                update_time_to: Some(now),
                source_id: source.clone(),
                ..none()
            },
            vec!["Oak table"],
        ),
    ] {
        assert_eq!(titles(&world, &tenant, request).await, expected, "{name}");
    }
    for (request, expected) in [
        (ListCardsRequest { owner: 9, ..none() }, "owner"),
        (
            ListCardsRequest {
                owner: 1,
                responsible_agent_id: ANNA.to_string(),
                ..none()
            },
            "owner",
        ),
        (ListCardsRequest { order: 9, ..none() }, "order"),
        (
            ListCardsRequest {
                text: "x".repeat(201),
                ..none()
            },
            "text",
        ),
        (
            ListCardsRequest {
                status_ids: vec!["x".into()],
                ..none()
            },
            "status_ids",
        ),
        (
            ListCardsRequest {
                status_ids: vec![source.clone(); 101],
                ..none()
            },
            "status_ids",
        ),
    ] {
        let refused = world.api.list_cards(tenant.ask(request)).await.unwrap_err();
        assert_eq!(field(&refused), expected);
    }
}

#[tokio::test]
async fn f177_x11_own_cards_stay_own_and_names_of_hidden_contacts_find_nothing() {
    let (world, tenant, ..) = filled().await;
    let mut record = testing::full_access(ANNA.into());
    record.leads = KindAccess {
        create: true,
        view: View::Own,
    };
    let own = tenant.agent(record.clone());
    let none = ListCardsRequest::default;
    for (request, expected) in [
        (none(), vec!["Oak table"]),
        (
            ListCardsRequest {
                owner: Owner::Mine.into(),
                ..none()
            },
            vec!["Oak table"],
        ),
        (
            ListCardsRequest {
                owner: Owner::None.into(),
                ..none()
            },
            vec![],
        ),
        (
            ListCardsRequest {
                responsible_agent_id: CHANNEL.to_string(),
                ..none()
            },
            vec![],
        ),
        (
            ListCardsRequest {
                text: "oak".into(),
                ..none()
            },
            vec!["Oak table"],
        ),
    ] {
        assert_eq!(titles(&world, &own, request).await, expected);
    }
    record.leads.view = View::All;
    record.contacts.view = View::Own;
    let blind = tenant.agent(record);
    let by_name = ListCardsRequest {
        text: "client".into(),
        ..none()
    };
    // Its own title says it; that of the shelf does not.
    assert_eq!(titles(&world, &blind, by_name).await, ["Client 1"]);
}

#[tokio::test]
async fn by_the_last_change_pages_follow_each_other_too() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let mut cards = Vec::new();
    for title in ["a", "b", "c", "d", "e"] {
        cards.push(world.card(&tenant, title).await);
    }
    for at in [1, 3] {
        let request = UpdateCardRequest {
            card_id: cards[at].card_id.clone(),
            title: Some(format!("{}!", cards[at].title)),
            ..UpdateCardRequest::default()
        };
        world.update_card(&tenant, request).await.unwrap();
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListCardsRequest {
            page_size: 2,
            page_token,
            order: WireOrder::UpdateTime.into(),
            ..ListCardsRequest::default()
        };
        let page = world
            .api
            .list_cards(tenant.ask(request))
            .await
            .unwrap()
            .into_inner();
        found.extend(page.cards.into_iter().map(|card| card.title));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["d!", "b!", "e", "c", "a"]);
}

/// All combinations of filters, each there or not.
fn combinations(ids: [Uuid; 6]) -> Vec<Filter> {
    let [pipeline, status, agent, source, contact, chat] = ids;
    let ago = |minutes| chassis::clock::now() - time::Duration::minutes(minutes);
    let span = |there: bool| Span {
        from: there.then(|| ago(60)),
        to: there.then(|| ago(10)),
    };
    let mut all = Vec::new();
    for bits in 0..1_u32 << 10 {
        let on = |bit: u32| bits & (1 << bit) != 0;
        for responsible in [
            Responsible::Any,
            Responsible::Nobody,
            Responsible::Agent(agent),
        ] {
            all.push(Filter {
                talks: None,
                kinds: if on(0) {
                    vec![crm_cards::domain::status::StatusKind::Rejected]
                } else {
                    Vec::new()
                },
                statuses: if on(1) {
                    vec![status.into()]
                } else {
                    Vec::new()
                },
                pipeline: on(2).then(|| pipeline.into()),
                responsible,
                source: on(3).then(|| source.into()),
                messenger: on(4).then(|| "telegram".to_owned()),
                contact: on(5).then(|| contact.into()),
                chat: on(6).then(|| chat.into()),
                words: on(7).then(|| "'@x' & 'word7':*".to_owned()),
                created: span(on(8)),
                updated: span(on(9)),
                order: if bits.is_power_of_two() || bits % 3 == 0 {
                    Order::Updated
                } else {
                    Order::Created
                },
            });
        }
    }
    all
}

/// The plans of all statements that a page may take.
async fn plans(
    connection: &mut PgConnection,
    tenant: &Tenant,
    filter: &Filter,
) -> Vec<Vec<String>> {
    let mut plans = Vec::new();
    // A walk takes a fifth of these few cards: of them alone it is told that it need not read all.
    let scan = if filter.words.is_some() { "off" } else { "on" };
    let set = format!("set enable_seqscan = {scan}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(set))
        .execute(&mut *connection)
        .await
        .unwrap();
    for mut query in statements("explain ", &tenant.account, filter, Before::START, 51) {
        let query = query.build_query_as().persistent(false);
        let lines: Vec<(String,)> = query.fetch_all(&mut *connection).await.unwrap();
        plans.push(lines.into_iter().map(|(line,)| line).collect());
    }
    plans
}

/// Words that all, many, few or hardly any cards have are found page by page, newest first, however they are looked for.
#[tokio::test]
async fn searches_find_what_the_table_holds_however_many_have_the_word() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    fill(&world, &tenant, &pipeline).await;
    for (text, query) in [
        ("word", "'word':*"),
        ("word1", "'word1':*"),
        ("word77", "'word77':*"),
        ("word7 word9", "'word7':* & 'word9':*"),
        ("nobody", "'nobody':*"),
    ] {
        for order in [WireOrder::CreateTime, WireOrder::UpdateTime] {
            let by = match order {
                WireOrder::UpdateTime => "updated_at",
                _ => "created_at",
            };
            let sql = format!(
                "select id from card where account = $1 and words @@ $2::text::tsquery
                 order by {by} desc, id desc limit 150"
            );
            let expected: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(tenant.account.as_str())
                .bind(query)
                .fetch_all(&world.database.pool)
                .await
                .unwrap();
            let (mut found, mut page_token) = (Vec::new(), String::new());
            while found.len() < 150 {
                let request = ListCardsRequest {
                    text: text.into(),
                    order: order.into(),
                    page_token,
                    ..ListCardsRequest::default()
                };
                let page = world.api.list_cards(tenant.ask(request)).await.unwrap();
                let page = page.into_inner();
                found.extend(page.cards.into_iter().map(|card| card.card_id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text} by {by}");
        }
    }
}

/// Cards of nobody come in the list's order from an index of their own: no sort of all of them.
#[tokio::test]
async fn f027_cards_of_nobody_are_listed_in_order_from_an_index() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    fill(&world, &tenant, &pipeline).await;
    let mut connection = world.database.pool.acquire().await.unwrap();
    for (order, index) in [
        (Order::Created, "using card_of_nobody on"),
        (Order::Updated, "using card_of_nobody_change on"),
    ] {
        let filter = Filter {
            responsible: Responsible::Nobody,
            order,
            ..Filter::default()
        };
        let plan = plans(&mut connection, &tenant, &filter).await.remove(0);
        let served = plan
            .iter()
            .any(|line| line.contains("Index") && line.contains(index));
        assert!(served, "{order:?}\n{}", plan.join("\n"));
    }
}

/// Plans of every combination of filters on many cards: none reads the table from end to end.
#[tokio::test]
async fn every_combination_of_filters_is_served_by_an_index() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    fill(&world, &tenant, &pipeline).await;
    let uuid = |text: &str| text.parse::<Uuid>().unwrap();
    let ids = [
        uuid(&pipeline.pipeline_id),
        uuid(&pipeline.statuses[3].status_id),
        uuid_of(&world, "select md5('agent7')::uuid").await,
        Uuid::from_u128(404),
        uuid_of(&world, "select md5('contact7')::uuid").await,
        uuid_of(&world, "select md5('chat7')::uuid").await,
    ];
    let mut connection = world.database.pool.acquire().await.unwrap();
    let all = combinations(ids);
    for filter in &all {
        for plan in plans(&mut connection, &tenant, filter).await {
            let scan = plan.iter().find(|line| {
                ["Seq Scan on card", "Seq Scan on chat_card"]
                    .iter()
                    .any(|scan| line.contains(scan))
            });
            assert_eq!(scan, None, "{filter:?}\n{}", plan.join("\n"));
        }
    }
    println!("{} plans", all.len());
}
