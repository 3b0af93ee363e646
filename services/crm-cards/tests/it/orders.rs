//! Orders of buyers: products, totals, lists, and what a buyer has ordered (F117-F120).

use chassis::access::{KindAccess, View};
use chassis::testing;
use crm_cards::domain::status::StatusKind as Kind;
use crm_cards::store::orders::{Filter, page};
use sqlx::Connection as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::field::{Entity as FieldEntity, Type};
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::order_service_server::OrderService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{Chat, Tenant, World, field as wrong_field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);

/// A contact with a chat, saved as a buyer.
async fn buyer(world: &World, tenant: &Tenant, user: &str) -> (String, String) {
    let chat = Chat {
        channel: CHANNEL,
        user,
    };
    let opening = tenant.opening(chat, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let contacts = world.contacts(tenant).await;
    let contact = contacts
        .into_iter()
        .find(|contact| contact.identities[0].user_id == user)
        .unwrap();
    world.save_buyer(tenant, &contact.contact_id).await;
    (contact.contact_id, opening.chat())
}

async fn prepared() -> (World, Tenant, String, String) {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::None).await;
    let (contact, chat) = buyer(&world, &tenant, "1").await;
    (world, tenant, contact, chat)
}

fn line(product: &str, quantity: &str, price: &str) -> OrderLine {
    OrderLine {
        product: product.into(),
        quantity: quantity.into(),
        price: price.into(),
        ..OrderLine::default()
    }
}

fn boots(contact: &str) -> CreateOrderRequest {
    CreateOrderRequest {
        contact_id: contact.into(),
        currency: "UAH".into(),
        lines: vec![line("Boots", "2", "1200.5"), line("Laces", "0.5", "10.01")],
        comment: "Size 42".into(),
        ..CreateOrderRequest::default()
    }
}

async fn create(
    world: &World,
    tenant: &Tenant,
    request: CreateOrderRequest,
) -> Result<Order, Status> {
    let answer = world.api.create_order(tenant.ask(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn update(
    world: &World,
    tenant: &Tenant,
    request: UpdateOrderRequest,
) -> Result<Order, Status> {
    let answer = world.api.update_order(tenant.ask(request)).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn totals(world: &World, tenant: &Tenant, contact: &str) -> BuyerTotals {
    let request = GetBuyerTotalsRequest {
        contact_id: contact.into(),
    };
    let answer = world
        .api
        .get_buyer_totals(tenant.ask(request))
        .await
        .unwrap();
    answer.into_inner().totals.unwrap()
}

fn told(sums: &[Money]) -> Vec<String> {
    sums.iter()
        .map(|sum| format!("{} {}", sum.amount, sum.currency))
        .collect()
}

fn totalled(order: &Order) -> Vec<String> {
    told(order.total.as_slice())
}

/// F117, F118: an order is made from the chat, with products, for a saved buyer only.
#[tokio::test]
async fn f117_an_order_with_products_is_made_from_the_chat_of_a_buyer() {
    let (world, tenant, contact, chat) = prepared().await;
    let from_chat = CreateOrderRequest {
        chat_id: chat.clone(),
        ..boots("")
    };
    let order = create(&world, &tenant, from_chat.clone()).await.unwrap();
    assert_eq!(
        (order.number, &order.contact_id, &order.chat_id),
        (1, &contact, &chat)
    );
    assert_eq!(totalled(&order), ["2406.01 UAH"]);
    let lines: Vec<_> = order
        .lines
        .iter()
        .map(|line| {
            format!(
                "{} {} x {} = {}",
                line.product, line.quantity, line.price, line.total
            )
        })
        .collect();
    assert_eq!(
        lines,
        ["Boots 2 x 1200.50 = 2401.00", "Laces 0.5 x 10.01 = 5.01"]
    );
    assert_eq!(order.comment, "Size 42");

    // Nobody else's chat, and nobody who is no buyer.
    let (other, others_chat) = buyer(&world, &tenant, "2").await;
    let crossed = CreateOrderRequest {
        chat_id: others_chat,
        ..boots(&contact)
    };
    let refused = create(&world, &tenant, crossed).await.unwrap_err();
    assert_eq!(wrong_field(&refused), "chat_id");
    assert_eq!(
        create(&world, &tenant, boots(&other)).await.unwrap().number,
        2
    );
    let stranger = Chat {
        channel: CHANNEL,
        user: "3",
    };
    let opening = tenant.opening(stranger, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let unsaved = CreateOrderRequest {
        chat_id: opening.chat(),
        ..boots("")
    };
    let refused = create(&world, &tenant, unsaved).await.unwrap_err();
    assert_eq!(reason(&refused), "CONTACT_NOT_A_BUYER");
    assert_eq!(
        create(&world, &tenant, from_chat).await.unwrap().number,
        3,
        "no gap"
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_named_and_nothing_is_made() {
    let (world, tenant, contact, _) = prepared().await;
    let with = |lines: Vec<OrderLine>| CreateOrderRequest {
        lines,
        ..boots(&contact)
    };
    let many = vec![line("Boots", "1", "1"); 201];
    for (request, named) in [
        (
            with(vec![line("Boots", "1", "1"), line("", "1", "1")]),
            "lines[1].product",
        ),
        (with(vec![line("Boots", "0", "1")]), "lines[0].quantity"),
        (with(vec![line("Boots", "1", "1.001")]), "lines[0].price"),
        (
            with(vec![line("Boots", "2", "999999999999999.99")]),
            "lines",
        ),
        (with(many), "lines"),
        (
            CreateOrderRequest {
                currency: "hryvnia".into(),
                ..boots(&contact)
            },
            "currency",
        ),
        (
            CreateOrderRequest {
                currency: String::new(),
                ..boots(&contact)
            },
            "currency",
        ),
        (
            CreateOrderRequest {
                comment: "a".repeat(2_001),
                ..boots(&contact)
            },
            "comment",
        ),
        (
            CreateOrderRequest {
                fields: [("colour".to_owned(), FieldValue::default())].into(),
                ..boots(&contact)
            },
            "fields[colour]",
        ),
        (boots(""), "contact_id"),
    ] {
        let refused = create(&world, &tenant, request).await.unwrap_err();
        assert_eq!(
            (refused.code(), wrong_field(&refused).as_str()),
            (Code::InvalidArgument, named)
        );
    }
    assert_eq!(
        totals(&world, &tenant, &contact).await,
        BuyerTotals::default()
    );
    assert_eq!(
        create(&world, &tenant, boots(&contact))
            .await
            .unwrap()
            .number,
        1
    );
}

/// F119: an order is changed; a change that has not seen the one before is refused, and the history tells all.
#[tokio::test]
async fn f119_an_order_is_changed_and_its_history_told() {
    let (world, tenant, contact, _) = prepared().await;
    let colour = CreateFieldRequest {
        entity: FieldEntity::Order.into(),
        key: "colour".into(),
        name: "Colour".into(),
        r#type: Type::Text.into(),
        ..CreateFieldRequest::default()
    };
    world.api.create_field(tenant.ask(colour)).await.unwrap();
    let order = create(&world, &tenant, boots(&contact)).await.unwrap();
    let id = || UpdateOrderRequest {
        order_id: order.order_id.clone(),
        ..UpdateOrderRequest::default()
    };
    let black = FieldValue {
        value: Some(field_value::Value::Text("black".into())),
    };
    let changed = UpdateOrderRequest {
        lines: Some(OrderLines {
            lines: vec![line("Boots", "3", "1000")],
        }),
        fields: [("colour".to_owned(), black.clone())].into(),
        expected_revision: Some(1),
        ..id()
    };
    let after = update(&world, &tenant, changed.clone()).await.unwrap();
    assert_eq!(
        (totalled(&after), after.revision),
        (vec!["3000.00 UAH".to_owned()], 2)
    );
    assert_eq!(
        (after.fields["colour"].clone(), after.comment.as_str()),
        (black, "Size 42")
    );
    let stale = update(&world, &tenant, changed.clone()).await.unwrap_err();
    assert_eq!(stale.code(), Code::Aborted);
    let same = UpdateOrderRequest {
        expected_revision: None,
        ..changed
    };
    assert_eq!(
        update(&world, &tenant, same).await.unwrap().revision,
        2,
        "nothing changed"
    );

    // Prices are not read in another currency by themselves.
    let euros = UpdateOrderRequest {
        currency: Some("EUR".into()),
        ..id()
    };
    let refused = update(&world, &tenant, euros.clone()).await.unwrap_err();
    assert_eq!(wrong_field(&refused), "lines");
    let priced = UpdateOrderRequest {
        lines: Some(OrderLines {
            lines: vec![line("Boots", "3", "20")],
        }),
        ..euros
    };
    let after = update(&world, &tenant, priced).await.unwrap();
    assert_eq!(totalled(&after), ["60.00 EUR"]);
    let emptied = UpdateOrderRequest {
        lines: Some(OrderLines::default()),
        ..id()
    };
    assert_eq!(
        totalled(&update(&world, &tenant, emptied).await.unwrap()),
        ["0.00 EUR"]
    );
    world
        .move_order(&tenant, &order.order_id, StatusKind::Successful)
        .await;

    let subject = Entity::OrderId(order.order_id.clone());
    let entries = world.history_of(&tenant, subject, &[]).await;
    assert_eq!(entries.len(), 5, "{entries:?}");
    assert!(
        entries[0].starts_with("moved by service:tests: status: "),
        "{entries:?}"
    );
    assert!(
        entries[2].contains("total.currency: UAH -> EUR"),
        "{entries:?}"
    );
    assert!(
        entries[3].contains("fields.colour.text: . -> black"),
        "{entries:?}"
    );
    let names = world.names(&tenant.account).await;
    let orders: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("order."))
        .collect();
    assert_eq!(
        orders,
        [
            "order.created",
            "order.updated",
            "order.updated",
            "order.updated",
            "order.moved"
        ]
    );
}

/// F120: count and sum of what a buyer has ordered, also beside the chat.
#[tokio::test]
async fn f120_what_a_buyer_has_ordered_is_told_exactly() {
    let (world, tenant, contact, chat) = prepared().await;
    let (other, _) = buyer(&world, &tenant, "2").await;
    let priced = |amount: &str, currency: &str| CreateOrderRequest {
        contact_id: contact.clone(),
        currency: currency.into(),
        lines: vec![line("Boots", "1", amount)],
        ..CreateOrderRequest::default()
    };
    let first = create(&world, &tenant, priced("0.10", "UAH"))
        .await
        .unwrap();
    create(&world, &tenant, priced("0.20", "UAH"))
        .await
        .unwrap();
    let euros = create(&world, &tenant, priced("5", "EUR")).await.unwrap();
    world.create_order(&tenant, &contact).await.unwrap();
    create(&world, &tenant, boots(&other)).await.unwrap();
    let all = totals(&world, &tenant, &contact).await;
    assert_eq!(
        (all.order_count, told(&all.sums)),
        (4, vec!["5.00 EUR".into(), "0.30 UAH".into()])
    );

    world
        .move_order(&tenant, &first.order_id, StatusKind::Rejected)
        .await;
    let cheaper = UpdateOrderRequest {
        order_id: euros.order_id,
        lines: Some(OrderLines {
            lines: vec![line("Boots", "1", "4")],
        }),
        ..UpdateOrderRequest::default()
    };
    update(&world, &tenant, cheaper).await.unwrap();
    let all = totals(&world, &tenant, &contact).await;
    let parts: Vec<_> = all
        .parts
        .iter()
        .map(|part| (part.status(), part.order_count, told(&part.sums)))
        .collect();
    let expected = [
        (
            StatusKind::New,
            3,
            vec!["4.00 EUR".to_owned(), "0.20 UAH".to_owned()],
        ),
        (StatusKind::Rejected, 1, vec!["0.10 UAH".to_owned()]),
    ];
    assert_eq!(parts, expected);
    assert_eq!(
        (all.order_count, told(&all.sums)),
        (4, vec!["4.00 EUR".into(), "0.30 UAH".into()])
    );
    let request = GetChatConnectionsRequest { chat_id: chat };
    let answer = world
        .api
        .get_chat_connections(tenant.ask(request))
        .await
        .unwrap();
    let beside = answer.into_inner();
    assert_eq!((beside.orders.len(), beside.buyer_totals), (3, Some(all)));

    // What the database keeps is what a scan would count.
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from
             (select account, contact, status, coalesce(currency, '') as currency, count(*) as orders,
                     coalesce(sum(amount), 0) as amount
              from buyer_order group by 1, 2, 3, 4) o
         full join (select * from buyer_total where orders <> 0 or amount <> 0) t
             using (account, contact, status, currency)
         where o.orders is distinct from t.orders or o.amount is distinct from t.amount",
    )
    .fetch_one(&world.database.pool)
    .await
    .unwrap();
    assert_eq!(differing, 0);
}

/// Orders of a buyer follow who answers for him: an agent who sees his own contacts sees their orders.
#[tokio::test]
async fn orders_are_listed_by_buyer_chat_and_status_within_the_callers_reach() {
    let (world, tenant, contact, chat) = prepared().await;
    let (other, _) = buyer(&world, &tenant, "2").await;
    let mut numbers = Vec::new();
    for request in [
        boots(&contact),
        CreateOrderRequest {
            chat_id: chat.clone(),
            ..boots("")
        },
        boots(&other),
    ] {
        numbers.push(create(&world, &tenant, request).await.unwrap());
    }
    world
        .move_order(&tenant, &numbers[0].order_id, StatusKind::Successful)
        .await;
    let agent = Uuid::from_u128(100);
    let mut record = testing::full_access(agent.into());
    record.contacts = KindAccess {
        view: View::Own,
        ..record.contacts
    };
    let own = tenant.agent(record);
    sqlx::query("update contact set responsible = $2 where id = $1")
        .bind(other.parse::<Uuid>().unwrap())
        .bind(agent)
        .execute(&world.database.pool)
        .await
        .unwrap();
    let none = ListOrdersRequest::default;
    for (caller, request, expected) in [
        (&tenant, none(), vec![3, 2, 1]),
        (
            &tenant,
            ListOrdersRequest {
                contact_id: contact.clone(),
                ..none()
            },
            vec![2, 1],
        ),
        (
            &tenant,
            ListOrdersRequest {
                chat_id: chat.clone(),
                ..none()
            },
            vec![2],
        ),
        (
            &tenant,
            ListOrdersRequest {
                status_kinds: vec![StatusKind::New.into()],
                ..none()
            },
            vec![3, 2],
        ),
        (&own, none(), vec![3]),
        (
            &own,
            ListOrdersRequest {
                contact_id: contact.clone(),
                ..none()
            },
            vec![],
        ),
    ] {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListOrdersRequest {
                page_size: 1,
                page_token,
                ..request.clone()
            };
            let page = world
                .api
                .list_orders(caller.ask(request))
                .await
                .unwrap()
                .into_inner();
            found.extend(page.orders.into_iter().map(|order| order.number));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, expected, "{request:?}");
    }
    let request = GetOrderRequest {
        order_id: numbers[0].order_id.clone(),
    };
    let hidden = world.api.get_order(own.ask(request)).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
}

/// Among many orders a page reads as many rows as it shows, by each filter.
#[tokio::test]
async fn a_page_of_orders_reads_no_more_than_it_shows() {
    let (world, tenant, contact, chat) = prepared().await;
    let (other, _) = buyer(&world, &tenant, "2").await;
    let id = |text: &str| text.parse::<Uuid>().unwrap();
    let agent = Uuid::from_u128(100);
    // One in a thousand is the buyer's, one in a hundred is rejected.
    sqlx::query(
        "insert into buyer_order (account, id, number, contact, chat, status, created_at, updated_at)
         select $1, gen_random_uuid(), n, case when n % 1000 = 0 then $2 else $3 end,
                case when n % 1000 = 0 then $4 end, case when n % 100 = 0 then 'rejected' else 'new' end, now(), now()
         from generate_series(1, 30000) n",
    )
    .bind(tenant.account.as_str())
    .bind(id(&contact))
    .bind(id(&other))
    .bind(id(&chat))
    .execute(&world.database.pool)
    .await
    .unwrap();
    sqlx::query("update contact set responsible = $2 where id = $1")
        .bind(id(&contact))
        .bind(agent)
        .execute(&world.database.pool)
        .await
        .unwrap();
    sqlx::query("vacuum analyze buyer_order")
        .execute(&world.database.pool)
        .await
        .unwrap();
    for filter in [
        Filter::default(),
        Filter {
            kinds: vec![Kind::Rejected],
            ..Filter::default()
        },
        Filter {
            contact: Some(id(&contact).into()),
            ..Filter::default()
        },
        Filter {
            chat: Some(id(&chat).into()),
            ..Filter::default()
        },
        Filter {
            responsible: Some(agent),
            ..Filter::default()
        },
        Filter {
            responsible: Some(agent),
            kinds: vec![Kind::Rejected],
            ..Filter::default()
        },
    ] {
        let mut session = world.database.pool.acquire().await.unwrap();
        // What this session read before is not counted with what follows.
        sqlx::query("select pg_stat_force_next_flush()")
            .execute(&mut *session)
            .await
            .unwrap();
        let mut transaction = session.begin().await.unwrap();
        sqlx::query("set local plan_cache_mode = force_custom_plan")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let rows = page(&mut transaction, &tenant.account, &filter, 20_000, 10)
            .await
            .unwrap();
        assert_eq!(rows.len(), 10, "{filter:?}");
        let (scans, read): (i64, i64) = sqlx::query_as(
            "select seq_scan, idx_tup_fetch from pg_stat_xact_user_tables where relname = 'buyer_order'",
        )
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        assert_eq!(scans, 0, "{filter:?}");
        assert!(read <= 20, "{filter:?}: {read} rows");
    }
}
