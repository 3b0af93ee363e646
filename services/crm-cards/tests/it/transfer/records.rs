//! Companies and cards by file.

use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::*;

use super::{Outcome, plan};
use crate::world::{Tenant, World, tenant, world};

async fn import(world: &World, tenant: &Tenant, kind: RecordKind, file: &str) -> Outcome {
    world.import(tenant, plan(kind), file).await.unwrap()
}

async fn update(world: &World, tenant: &Tenant, kind: RecordKind, file: &str) -> Outcome {
    let plan = ImportPlan {
        update: true,
        ..plan(kind)
    };
    world.import(tenant, plan, file).await.unwrap()
}

#[tokio::test]
async fn i28_companies_come_by_file_with_those_that_they_belong_to_before_them() {
    let (world, tenant) = (world().await, tenant());
    let file = "id,name,phones,parent\n\
        h,Holding,+380441234567,\n\
        s,Shop,,h\n\
        ,Corner,,Shop\n\
        l,Late,,Later\n\
        ,Later,,\n\
        x,Self,,x\n";
    let dry = ImportPlan {
        dry_run: true,
        ..plan(RecordKind::Company)
    };
    let told = world.import(&tenant, dry, file).await.unwrap();
    let outcome = import(&world, &tenant, RecordKind::Company, file).await;
    assert_eq!(told, outcome);
    assert_eq!(outcome.counts(), [4, 0, 0, 2]);
    let expected = [
        "5 parent: Later: the account has no such company",
        "7 parent: x: the account has no such company",
    ];
    assert_eq!(outcome.refused, expected);
    let exported = world.export(&tenant, RecordKind::Company).await.unwrap();
    let place = |name: &str| exported.find(name).unwrap();
    assert!(place("Holding") < place("Shop") && place("Shop") < place("Corner"));
    let told = world.names(&tenant.account).await;
    assert_eq!(told, ["company.created"; 4]);
    // The same again, by a file that was exported, and in another account.
    let same = import(&world, &tenant, RecordKind::Company, &exported).await;
    assert_eq!(same.counts(), [0, 0, 4, 0], "{:?}", same.refused);
    let other = crate::world::tenant();
    let moved = import(&world, &other, RecordKind::Company, &exported).await;
    assert_eq!(moved.counts(), [4, 0, 0, 0], "{:?}", moved.refused);
    let again = world.export(&other, RecordKind::Company).await.unwrap();
    let repeated = import(&world, &other, RecordKind::Company, &exported).await;
    assert_eq!(repeated.counts(), [0, 0, 4, 0], "{:?}", repeated.refused);
    assert_eq!(again.lines().count(), exported.lines().count());
    // A circle is none by file either, whichever rows make it.
    let circle = "id,parent\nh,Corner\n";
    let refused = update(&world, &tenant, RecordKind::Company, circle).await;
    assert_eq!(
        refused.refused,
        ["2 parent: Corner: belongs to this company itself: that would be a circle"]
    );
    let turned = "id,name,parent\nn,New,\nh,Holding,New\nn,,Shop\n";
    let turned = update(&world, &tenant, RecordKind::Company, turned).await;
    assert_eq!(turned.counts(), [1, 1, 0, 1]);
    assert_eq!(turned.refused, ["4 id: line 2 has the same"]);
    let circle = "id,parent\nn,Shop\n";
    let refused = update(&world, &tenant, RecordKind::Company, circle).await;
    assert_eq!(refused.counts(), [0, 0, 0, 1], "{:?}", refused.refused);
    let contacts = import(
        &world,
        &tenant,
        RecordKind::Contact,
        "name,company\nAnna,s\n",
    )
    .await;
    assert_eq!(contacts.counts(), [1, 0, 0, 0], "by the key of its import");
}

#[tokio::test]
async fn i28_companies_of_a_dry_run_are_known_to_rows_batches_later() {
    let (world, tenant) = (world().await, tenant());
    let mut file = "name,parent\nHolding,\n".to_owned();
    for row in 0..1_000 {
        file.push_str("Shop ");
        file.push_str(&row.to_string());
        file.push_str(",Holding\n");
    }
    file.push_str("Corner,Shop 7\nNone,Nobody\n");
    let dry = ImportPlan {
        dry_run: true,
        ..plan(RecordKind::Company)
    };
    let told = world.import(&tenant, dry, &file).await.unwrap();
    assert_eq!(told.counts(), [1_002, 0, 0, 1]);
    let done = import(&world, &tenant, RecordKind::Company, &file).await;
    assert_eq!(done, told);
    let exported = world.export(&tenant, RecordKind::Company).await.unwrap();
    assert_eq!(exported.lines().count(), 1_003);
}

async fn made(world: &World, tenant: &Tenant) -> Pipeline {
    let pipeline = world.pipeline(tenant).await;
    let source = CreateSourceRequest {
        name: "Fair".into(),
        ..CreateSourceRequest::default()
    };
    world.api.create_source(tenant.ask(source)).await.unwrap();
    let contacts = "id,name,phones,emails,buyer\n\
        a,Anna,+380441234567,anna@example.com,yes\n\
        b,Bob,+15208782491,,\n\
        c,Carl,+15208782491,,\n";
    import(world, tenant, RecordKind::Contact, contacts).await;
    pipeline
}

#[tokio::test]
async fn i28_cards_come_by_file_into_their_statuses_and_to_their_contacts() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = made(&world, &tenant).await;
    world
        .field(&tenant, "colour", field::Type::MultiSelect)
        .await
        .unwrap();
    let file = format!(
        "id,title,pipeline,status,source,contact,amount,currency,created_at,field.colour\n\
         1,Oak,Sales,In progress,Fair,+380441234567,1200.5,UAH,2021-05-06,green;red\n\
         2,,,,,anna@example.com,,,,\n\
         3,Ash,{},,,a,,,,\n\
         4,Elm,,,,+15208782491,,,,\n\
         5,Fir,,Gone,Nowhere,nobody@example.com,,,,\n\
         6,Yew,Purchases,,,,,,,\n\
         7,,,,,,,,,\n",
        pipeline.pipeline_id
    );
    let dry = ImportPlan {
        dry_run: true,
        ..plan(RecordKind::Card)
    };
    let told = world.import(&tenant, dry, &file).await.unwrap();
    assert!(world.cards(&tenant).await.is_empty());
    let outcome = import(&world, &tenant, RecordKind::Card, &file).await;
    assert_eq!(told, outcome);
    assert_eq!(outcome.counts(), [3, 0, 0, 4]);
    let expected = [
        "5 contact: +15208782491: several contacts have this: say an id",
        "6 contact: nobody@example.com: the account has no such contact",
        "6 source: Nowhere: the account has no such source",
        "6 status: Gone: the account has no such status in this pipeline",
        "7 pipeline: Purchases: the account has no such pipeline",
        "8 title: must not be empty without a contact",
    ];
    assert_eq!(outcome.refused, expected);
    let cards = world.cards(&tenant).await;
    let oak = cards.iter().find(|card| card.title == "Oak").unwrap();
    assert_eq!(oak.status.as_ref().unwrap().name, "In progress");
    assert_eq!(oak.amount.as_ref().unwrap().amount, "1200.50");
    assert_eq!(oak.create_time.unwrap().seconds, 1_620_259_200);
    assert!(!oak.source_id.is_empty() && !oak.contact_id.is_empty());
    let deal = switchboard_proto::common::v1::EntityKind::Deal;
    assert_eq!(oak.kind(), deal, "its contact is a buyer");
    assert!(cards.iter().any(|card| card.title == "Anna"), "as by hand");
    let published = world.published(&tenant.account).await;
    let created = published.iter().find(|event| event.name == "card.created");
    let created: CardCreated = created.unwrap().read();
    assert!(cards.contains(&created.card.unwrap()), "told as it is read");
    // Changed and moved by a file, told as by hand.
    let file = "id,title,status,amount,currency\n1,Oak,Successful,7,UAH\n3,,Successful,,\n";
    let refused = import(&world, &tenant, RecordKind::Card, file).await;
    assert_eq!(refused.counts(), [0, 0, 0, 2]);
    let changed = update(&world, &tenant, RecordKind::Card, file).await;
    assert_eq!(changed.counts(), [0, 2, 0, 0]);
    let names = world.names(&tenant.account).await;
    let last: Vec<&str> = names.iter().rev().take(3).map(String::as_str).collect();
    assert_eq!(last, ["card.moved", "card.moved", "card.updated"]);
    let moved = world.get_card(&tenant, &oak.card_id).await.unwrap();
    assert_eq!(
        (moved.revision, &*moved.status.unwrap().name),
        (2, "Successful")
    );
    let about = Entity::CardId(oak.card_id.clone());
    let history = world.history_of(&tenant, about, &[]).await;
    assert_eq!(history.len(), 3, "{history:?}");
    let board = world.cards(&tenant).await;
    let won = board
        .iter()
        .filter(|card| card.status.as_ref().unwrap().name == "Successful");
    assert_eq!(won.count(), 2);
}

#[tokio::test]
async fn i28_cards_and_all_they_belong_to_move_into_another_account_by_files() {
    let (world, tenant) = (world().await, tenant());
    made(&world, &tenant).await;
    let file = "title,status,source,contact,amount,currency,responsible\n\
        =Oak,In progress,Fair,a,12,UAH,00000000-0000-0000-0000-000000000064\n\
        Ash,,,b,,,\n\
        Elm,,,,,,\n";
    let outcome = import(&world, &tenant, RecordKind::Card, file).await;
    assert_eq!(outcome.counts(), [3, 0, 0, 0], "{:?}", outcome.refused);
    let exported = world.export(&tenant, RecordKind::Card).await.unwrap();
    assert!(
        exported.contains(",'=Oak,Sales,In progress,Fair,"),
        "{exported}"
    );
    let same = import(&world, &tenant, RecordKind::Card, &exported).await;
    assert_eq!(same.counts(), [0, 0, 3, 0], "{:?}", same.refused);
    let other = crate::world::tenant();
    world.pipeline(&other).await;
    let source = CreateSourceRequest {
        name: "Fair".into(),
        ..CreateSourceRequest::default()
    };
    world.api.create_source(other.ask(source)).await.unwrap();
    let people = world.export(&tenant, RecordKind::Contact).await.unwrap();
    let people = import(&world, &other, RecordKind::Contact, &people).await;
    assert_eq!(people.counts(), [3, 0, 0, 0], "{:?}", people.refused);
    let moved = import(&world, &other, RecordKind::Card, &exported).await;
    assert_eq!(moved.counts(), [3, 0, 0, 0], "{:?}", moved.refused);
    let told = |cards: Vec<Card>| {
        let mut told: Vec<_> = cards
            .into_iter()
            .map(|card| {
                let amount = card.amount.map(|money| (money.amount, money.currency));
                let status = card.status.map(|status| status.name);
                (
                    card.title,
                    status,
                    amount,
                    card.responsible_agent_id,
                    card.create_time.map(|at| at.nanos),
                )
            })
            .collect();
        told.sort();
        told
    };
    let (here, there) = (world.cards(&tenant).await, world.cards(&other).await);
    let contacts = there.iter().filter(|card| !card.contact_id.is_empty());
    assert_eq!(contacts.count(), 2);
    assert_eq!(told(here), told(there));
}
