//! Who may read and write which records by file.

use chassis::access::{KindAccess, View};
use chassis::testing;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use super::plan;
use crate::world::{Tenant, reason, tenant, world};

const ANNA: Uuid = Uuid::from_u128(100);

fn agent(tenant: &Tenant, create: bool, view: View) -> Tenant {
    let mut record = testing::full_access(ANNA.into());
    record.contacts = KindAccess { create, view };
    record.leads = KindAccess { create, view };
    tenant.agent(record)
}

#[tokio::test]
async fn f174_f177_files_hold_and_change_what_the_caller_sees_and_nothing_else() {
    let (world, tenant) = (world().await, tenant());
    let file = format!("id,name,responsible\nmine,Mine,{ANNA}\nothers,Others,\n");
    let asked = || plan(RecordKind::Contact);
    world.import(&tenant, asked(), &file).await.unwrap();
    let own = agent(&tenant, true, View::Own);
    let exported = world.export(&own, RecordKind::Contact).await.unwrap();
    assert!(exported.contains("Mine") && !exported.contains("Others"));
    let update = || ImportPlan {
        update: true,
        ..asked()
    };
    let file = "id,name\nmine,Mine still\nothers,Mine now\nnew,New\n";
    let outcome = world.import(&own, update(), file).await.unwrap();
    assert_eq!(outcome.counts(), [1, 1, 0, 1]);
    let reason_told = "3 id: is known already and not open to you";
    assert_eq!(outcome.refused, [reason_told]);
    // By an id of the account it is as if there was none: a contact of their own is made.
    let all = world.contacts(&tenant).await;
    let others = all.iter().find(|one| one.name == "Others").unwrap();
    let file = format!("id,name\n{},Taken\n", others.contact_id);
    let outcome = world.import(&own, update(), file).await.unwrap();
    assert_eq!(outcome.counts(), [1, 0, 0, 0]);
    let all = world.contacts(&tenant).await;
    assert!(all.iter().any(|one| one == others), "{all:?}");
    // A company that they do not see is none.
    let company = CreateCompanyRequest {
        name: "Oak".into(),
        ..CreateCompanyRequest::default()
    };
    world.new_company(&tenant, company).await.unwrap();
    let outcome = world.import(&own, asked(), "name,company\nA,Oak\n").await;
    let outcome = outcome.unwrap();
    let expected = ["2 company: Oak: the account has no such company"];
    assert_eq!(outcome.refused, expected);
    // Who may make contacts and sees none makes them, and sees none in files either.
    let blind = agent(&tenant, true, View::None);
    let outcome = world
        .import(&blind, asked(), "name\nBlind\n")
        .await
        .unwrap();
    assert_eq!(outcome.counts(), [1, 0, 0, 0]);
    let again = world
        .import(&blind, asked(), "name\nBlind\n")
        .await
        .unwrap();
    assert_eq!(again.counts(), [0, 0, 1, 0], "a repeat doubles nothing");
    for (refused, what) in [
        (
            world
                .import(&agent(&tenant, false, View::All), asked(), "name\nA\n")
                .await
                .map(drop),
            "import",
        ),
        (
            world.export(&blind, RecordKind::Contact).await.map(drop),
            "export",
        ),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{what}");
        assert_eq!(reason(&refused), "CRM_ACCESS_MISSING", "{what}");
    }
}

#[tokio::test]
async fn x11_the_ids_of_another_account_lead_nowhere() {
    let (world, shop, mall) = (world().await, tenant(), tenant());
    let asked = || plan(RecordKind::Contact);
    let made = world.import(&shop, asked(), "name\nAnna\n").await.unwrap();
    assert_eq!(made.counts(), [1, 0, 0, 0]);
    let anna = world.contacts(&shop).await.remove(0);
    let update = ImportPlan {
        update: true,
        ..asked()
    };
    let file = format!("id,name\n{},Mine\n", anna.contact_id);
    let outcome = world.import(&mall, update, file).await.unwrap();
    assert_eq!(outcome.counts(), [1, 0, 0, 0]);
    assert_eq!(world.contacts(&shop).await, std::slice::from_ref(&anna));
    let own = world.contacts(&mall).await.remove(0);
    assert_ne!(own.contact_id, anna.contact_id);
    let exported = world.export(&mall, RecordKind::Contact).await.unwrap();
    assert!(!exported.contains("Anna"), "{exported}");
}

#[tokio::test]
async fn i28_an_account_has_few_files_under_way_at_once() {
    let (world, tenant) = (world().await, tenant());
    let hold = async || {
        let (sender, sent) = futures::channel::mpsc::unbounded();
        let first = super::parts(plan(RecordKind::Contact), b"").remove(0);
        sender.unbounded_send(first).unwrap();
        (world.open_import(&tenant, sent).await.unwrap(), sender)
    };
    let (one, other) = (hold().await, hold().await);
    let asked = plan(RecordKind::Contact);
    let refused = world.import(&tenant, asked.clone(), "name\nA\n").await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_TRANSFERS");
    let elsewhere = crate::world::tenant();
    world.import(&elsewhere, asked, "name\nA\n").await.unwrap();
    drop((one, other));
    world.free_again(&tenant, 2).await;
}

#[tokio::test]
async fn f174_f177_cards_and_companies_of_others_stay_as_they_are() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let update = |kind| ImportPlan {
        update: true,
        ..plan(kind)
    };
    for (kind, name) in [(RecordKind::Company, "name"), (RecordKind::Card, "title")] {
        let file = format!("id,{name},responsible\nmine,Mine,{ANNA}\nothers,Others,\n");
        let made = world.import(&tenant, plan(kind), &file).await.unwrap();
        assert_eq!(made.counts(), [2, 0, 0, 0], "{:?}", made.refused);
        let own = agent(&tenant, true, View::Own);
        let exported = world.export(&own, kind).await.unwrap();
        assert!(exported.contains("Mine") && !exported.contains("Others"));
        let file = format!("id,{name}\nmine,Mine still\nothers,Mine now\n");
        let outcome = world.import(&own, update(kind), file).await.unwrap();
        assert_eq!(outcome.counts(), [0, 1, 0, 1], "{:?}", outcome.refused);
        let all = world.export(&tenant, kind).await.unwrap();
        assert!(all.contains("Others") && !all.contains("Mine now"), "{all}");
    }
    // Below a company that they do not see, their own begin anew: the file has them all.
    let file = format!("name,parent,responsible\nBranch,others,{ANNA}\nCorner,Branch,{ANNA}\n");
    let below = world.import(&tenant, plan(RecordKind::Company), file).await;
    assert_eq!(below.unwrap().counts(), [2, 0, 0, 0]);
    let own = agent(&tenant, true, View::Own);
    let exported = world.export(&own, RecordKind::Company).await.unwrap();
    assert_eq!(exported.lines().count(), 4, "{exported}");
    // A card's contact is one that they see.
    let contact = "id,name\nc,Carl\n";
    let contact = world
        .import(&tenant, plan(RecordKind::Contact), contact)
        .await;
    assert_eq!(contact.unwrap().counts(), [1, 0, 0, 0]);
    let card = "title,contact\nOak,c\n";
    let refused = world
        .import(&own, plan(RecordKind::Card), card)
        .await
        .unwrap();
    let expected = ["2 contact: c: the account has no such contact"];
    assert_eq!(refused.refused, expected);
}
