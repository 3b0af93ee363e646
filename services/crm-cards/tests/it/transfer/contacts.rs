//! Contacts by file.

use std::fmt::Write as _;

use futures::channel::mpsc;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use super::{parts, plan};
use crate::world::{Tenant, World, tenant, world};

const ANNA: Uuid = Uuid::from_u128(100);

async fn set_region(world: &World, tenant: &Tenant) {
    let request = SetContactSettingsRequest {
        settings: Some(ContactSettings {
            phone_region: "UA".into(),
        }),
    };
    world
        .api
        .set_contact_settings(tenant.ask(request))
        .await
        .unwrap();
}

fn names(contacts: &[Contact]) -> Vec<&str> {
    let mut names: Vec<&str> = contacts.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn i28_contacts_come_by_a_file_as_excel_writes_it_and_are_told_as_if_made_by_hand() {
    let (world, tenant) = (world().await, tenant());
    set_region(&world, &tenant).await;
    world
        .field_of(&tenant, field::Entity::Contact, "city", field::Type::Text)
        .await;
    let file = format!(
        "\u{feff}Name;phones;emails;buyer;responsible;created_at;field.city\r\n\
         \"Ковальчук; Анна\";044 123 45 67;Anna@Example.com;yes;{ANNA};2020-02-03;\"Київ\r\nЛівий берег\"\r\n\
         ;;;;;;\r\n\
         Bob;+15208782491;;no;;;\r\n"
    );
    let outcome = world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    assert_eq!(outcome.counts(), [2, 0, 0, 0], "{:?}", outcome.refused);
    assert_eq!(outcome.columns.len(), 7);
    let contacts = world.contacts(&tenant).await;
    assert_eq!(names(&contacts), ["Bob", "Ковальчук; Анна"]);
    let anna = contacts.iter().find(|one| one.buyer).unwrap();
    assert_eq!(anna.phones, ["+380441234567"]);
    assert_eq!(anna.emails, ["anna@example.com"]);
    assert_eq!(anna.responsible_agent_id, ANNA.to_string());
    let text = Some(field_value::Value::Text("Київ\r\nЛівий берег".into()));
    assert_eq!(anna.fields["city"].value, text);
    assert_eq!(anna.create_time.unwrap().seconds, 1_580_688_000);
    // Read again, it is as it was told.
    let published = world.published(&tenant.account).await;
    let told: Vec<_> = published.iter().map(|event| event.name.as_str()).collect();
    let expected = [
        "contact.created",
        "entity.responsible-changed",
        "contact.created",
    ];
    assert_eq!(told, expected);
    let created: ContactCreated = published[0].read();
    assert_eq!(created.contact.as_ref(), Some(anna));
    assert_eq!(published[0].actor, "service:tests");
    let about = Entity::ContactId(anna.contact_id.clone());
    let history = world.history_of(&tenant, about, &[]).await;
    assert_eq!(history.len(), 1);
    assert!(history[0].contains("fields.city.text"), "{history:?}");
}

#[tokio::test]
async fn i28_bad_rows_are_refused_by_their_lines_and_their_neighbours_go_in() {
    let (world, tenant) = (world().await, tenant());
    let file = "name,phones,emails,company\n\
        Anna,+380441234567,,\n\
        \"Bob\nand\nSons\",12,bob,\n\
        ,,carl@example.com,\n\
        Dora,,,Oak\n\
        Eve,,,,,x\n\
        Fred,,,\n";
    let asked = ImportPlan {
        with_cells: true,
        ..plan(RecordKind::Contact)
    };
    let outcome = world.import(&tenant, asked, file).await.unwrap();
    assert_eq!(outcome.counts(), [2, 0, 0, 4]);
    assert_eq!(
        outcome.refused,
        [
            "3 phones[0]: must be a phone number with its country code, as +380441234567",
            "3 emails[0]: must be an e-mail address, as anna@example.com",
            "6 name: must not be empty",
            "7 company: Oak: the account has no such company",
            "8 : has something under no column",
        ]
    );
    assert_eq!(outcome.rows[0].cells, ["Bob\nand\nSons", "12", "bob", ""]);
    assert_eq!(names(&world.contacts(&tenant).await), ["Anna", "Fred"]);
}

/// A file of so many contacts, every third with the phone of another.
pub fn many(count: usize) -> String {
    let rows = (0..count).map(|row| {
        let phone = 380_500_000_000_u64 + u64::try_from(row / 3).unwrap();
        format!("Contact {row},+{phone},c{row}@example.com\n")
    });
    std::iter::once("name,phones,emails\n".to_owned())
        .chain(rows)
        .collect()
}

#[tokio::test]
async fn i28_a_cut_import_is_made_again_and_only_the_rest_is_created() {
    let (world, tenant) = (world().await, tenant());
    let file = many(1_234);
    let (sender, sent) = mpsc::unbounded();
    // Half of the file goes, and the line is cut once a batch is in.
    let all = parts(plan(RecordKind::Contact), file.as_bytes());
    for part in all.iter().take(all.len() / 2 + 2) {
        sender.unbounded_send(part.clone()).unwrap();
    }
    let mut answers = world.open_import(&tenant, sent).await.unwrap();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.progress.unwrap().created, first.done), (500, false));
    drop((answers, sender));
    let again = world
        .import(&tenant, plan(RecordKind::Contact), &file)
        .await
        .unwrap();
    assert_eq!(again.counts(), [734, 0, 500, 0]);
    assert!(again.answers >= 3, "it is told on the way");
    let third = world
        .import(&tenant, plan(RecordKind::Contact), &file)
        .await
        .unwrap();
    assert_eq!(third.counts(), [0, 0, 1_234, 0]);
    let made = world.names(&tenant.account).await;
    let created = made.iter().filter(|name| *name == "contact.created");
    assert_eq!(created.count(), 1_234);
    // Another import of the same file is another one.
    let other = ImportPlan {
        import_id: "second".into(),
        ..plan(RecordKind::Contact)
    };
    let other = world.import(&tenant, other, many(2)).await.unwrap();
    assert_eq!(other.counts(), [2, 0, 0, 0]);
}

#[tokio::test]
async fn i28_two_imports_of_one_file_at_once_make_each_contact_once() {
    let (world, tenant) = (world().await, tenant());
    let file = many(1_100);
    let one = world.import(&tenant, plan(RecordKind::Contact), &file);
    let other = world.import(&tenant, plan(RecordKind::Contact), &file);
    let (one, other) = tokio::join!(one, other);
    let (one, other) = (one.unwrap().counts(), other.unwrap().counts());
    assert_eq!(one[0] + other[0], 1_100, "{one:?} {other:?}");
    assert_eq!(one[2] + other[2], 1_100, "{one:?} {other:?}");
}

#[tokio::test]
async fn d27_contacts_of_a_file_are_suspected_as_those_made_by_hand() {
    let (world, tenant) = (world().await, tenant());
    let by_hand = CreateContactRequest {
        name: "Anna".into(),
        phones: vec!["+380500000000".into()],
        ..CreateContactRequest::default()
    };
    world.new_contact(&tenant, by_hand).await.unwrap();
    let file = many(6);
    world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    let told = world.names(&tenant.account).await;
    let suspected = told.iter().filter(|name| *name == "duplicate.suspected");
    // Three of the file and Anna have one phone, which makes six pairs; the other three of the file make three.
    assert_eq!(suspected.count(), 9);
}

#[tokio::test]
async fn i28_a_dry_run_tells_the_same_and_writes_nothing() {
    let (world, tenant) = (world().await, tenant());
    let known = CreateContactRequest {
        name: "Known".into(),
        ..CreateContactRequest::default()
    };
    let known = world.new_contact(&tenant, known).await.unwrap();
    let before = world.names(&tenant.account).await;
    let mut file = format!(
        "id,name,phones\n{},Changed,\nk1,Anna,+380441234567\nk2,,\nk1,Anna again,\n",
        known.contact_id
    );
    // Further on than a batch.
    for row in 0..600 {
        writeln!(file, "n{row},Contact {row},").unwrap();
    }
    file.push_str("n3,Contact 3,\n");
    let update = ImportPlan {
        update: true,
        ..plan(RecordKind::Contact)
    };
    let dry = ImportPlan {
        dry_run: true,
        ..update.clone()
    };
    let told = world.import(&tenant, dry, &file).await.unwrap();
    assert_eq!(told.counts(), [601, 1, 0, 3]);
    let expected = [
        "4 name: must not be empty",
        "5 id: line 3 has the same",
        "606 id: line 9 has the same",
    ];
    assert_eq!(told.refused, expected);
    assert_eq!(world.contacts(&tenant).await, [known]);
    assert_eq!(world.names(&tenant.account).await, before);
    let done = world.import(&tenant, update, &file).await.unwrap();
    assert_eq!(done, told);
    assert_eq!(world.contacts_of_all(&tenant).await.len(), 602);
}

#[tokio::test]
async fn i28_what_is_known_is_changed_where_that_is_wanted_and_else_refused() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let made = "id,name,phones\n1C-1,Anna,+380441234567\n1C-2,Bob,+15208782491\n";
    let asked = || plan(RecordKind::Contact);
    let outcome = world.import(&tenant, asked(), made).await.unwrap();
    assert_eq!(outcome.counts(), [2, 0, 0, 0]);
    let contacts = world.contacts(&tenant).await;
    let anna = contacts.iter().find(|one| one.name == "Anna").unwrap();
    let card = CreateCardRequest {
        title: "Oak".into(),
        contact_id: anna.contact_id.clone(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, card).await.unwrap();
    // Another column, another order; the ids lead to the same ones, whichever they are.
    let changed = format!(
        "emails,id,name,buyer\nanna@example.com,{},Anna B,yes\n,1c-2,Bob,\n,1C-2,Bob,\n",
        anna.contact_id
    );
    let refused = world.import(&tenant, asked(), &changed).await.unwrap();
    // A key is another one in other letters.
    assert_eq!(refused.counts(), [1, 0, 1, 1]);
    let reason =
        "2 id: is known already, with another name, emails, buyer: import with update to change it";
    assert_eq!(refused.refused, [reason]);
    let update = ImportPlan {
        update: true,
        ..asked()
    };
    let updated = world
        .import(&tenant, update.clone(), &changed)
        .await
        .unwrap();
    assert_eq!(updated.counts(), [0, 1, 2, 0]);
    let contacts = world.contacts(&tenant).await;
    let now = contacts.iter().find(|one| one.name == "Anna B").unwrap();
    assert_eq!(now.contact_id, anna.contact_id);
    assert_eq!((now.revision, now.buyer), (2, true));
    // What the row does not say stays.
    assert_eq!(now.phones, ["+380441234567"]);
    let card = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(card.kind(), switchboard_proto::common::v1::EntityKind::Deal);
    let told = world.names(&tenant.account).await;
    assert!(told.contains(&"contact.updated".to_owned()), "{told:?}");
    let back = format!("id,buyer\n{},no\n", anna.contact_id);
    let refused = world.import(&tenant, update.clone(), back).await.unwrap();
    assert_eq!(refused.refused, ["2 buyer: a buyer stays one"]);
    // Merged and deleted since: the one leads on, the other does not come back.
    let bob = contacts.iter().find(|one| one.phones == ["+15208782491"]);
    world.merge(&tenant, bob.unwrap(), now).await.unwrap();
    let spare = contacts
        .iter()
        .find(|one| one.name == "Bob" && one.phones.is_empty());
    let delete = DeleteContactRequest {
        contact_id: spare.unwrap().contact_id.clone(),
        ..DeleteContactRequest::default()
    };
    world.api.delete_contact(tenant.ask(delete)).await.unwrap();
    let file = "id,name\n1C-2,Anna B\n1c-2,Bob\n1C-1,Anna B\n";
    let last = world.import(&tenant, update, file).await.unwrap();
    assert_eq!(last.counts(), [0, 0, 1, 2]);
    let expected = [
        "3 id: was imported before and is deleted since",
        "4 id: line 2 has the same",
    ];
    assert_eq!(last.refused, expected);
}

#[tokio::test]
async fn i28_a_contact_of_a_file_belongs_to_a_company_that_is_named_by_id_or_name() {
    let (world, tenant) = (world().await, tenant());
    let company = |name: &str| CreateCompanyRequest {
        name: name.into(),
        ..CreateCompanyRequest::default()
    };
    let oak = world
        .new_company(&tenant, company("Oak & Co"))
        .await
        .unwrap();
    for _ in 0..2 {
        world.new_company(&tenant, company("Twins")).await.unwrap();
    }
    let file = format!(
        "name,company\nAnna,Oak & Co\nBob,{}\nCarl,Twins\nDora,oak & co\n",
        oak.company_id
    );
    let outcome = world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    let expected = [
        "4 company: Twins: several companies have this name: say its id",
        "5 company: oak & co: the account has no such company",
    ];
    assert_eq!(outcome.refused, expected);
    let contacts = world.contacts(&tenant).await;
    assert_eq!(names(&contacts), ["Anna", "Bob"]);
    assert!(contacts.iter().all(|one| one.company_id == oak.company_id));
}

#[tokio::test]
async fn i28_required_fields_are_asked_of_rows_as_of_forms() {
    let (world, tenant) = (world().await, tenant());
    let required = CreateFieldRequest {
        entity: field::Entity::Contact.into(),
        key: "size".into(),
        name: "Size".into(),
        r#type: field::Type::Number.into(),
        required: true,
        ..CreateFieldRequest::default()
    };
    world.api.create_field(tenant.ask(required)).await.unwrap();
    let outcome = world
        .import(
            &tenant,
            plan(RecordKind::Contact),
            "name,field.size\nAnna,12.5\nBob,\nCarl,big\n",
        )
        .await
        .unwrap();
    assert_eq!(outcome.counts(), [1, 0, 0, 2]);
    assert_eq!(outcome.refused[0], "3 field.size: is required");
    assert!(outcome.refused[1].starts_with("4 field.size: must be"));
}

/// A row tells in one round all that is wrong with it: what cannot be read, what its fields must hold, what it refers to.
#[tokio::test]
async fn i28_everything_that_is_wrong_with_a_row_is_told_at_once() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    for entity in [field::Entity::Contact, field::Entity::Card] {
        let request = CreateFieldRequest {
            entity: entity.into(),
            key: "size".into(),
            name: "Size".into(),
            r#type: field::Type::Select.into(),
            options: vec!["S".into(), "M".into()],
            ..CreateFieldRequest::default()
        };
        world.api.create_field(tenant.ask(request)).await.unwrap();
    }
    let file = "name,phones,emails,buyer,company,field.size\n\
        Anna,12,anna,perhaps,Nobody & Co,XL\n\
        ,+380441234567,,,,XL\n";
    let outcome = world
        .import(&tenant, plan(RecordKind::Contact), file)
        .await
        .unwrap();
    assert_eq!(outcome.counts(), [0, 0, 0, 2]);
    let columns = |line: i64| -> Vec<String> {
        let row = outcome.rows.iter().find(|row| row.line == line).unwrap();
        row.problems.iter().map(|one| one.column.clone()).collect()
    };
    let all = ["phones[0]", "emails[0]", "buyer", "field.size", "company"];
    assert_eq!(columns(2), all, "{:?}", outcome.refused);
    assert_eq!(columns(3), ["field.size", "name"]);
    let file = "title,amount,currency,responsible,contact,status,field.size\n\
        ,1,XXXX,somebody,nobody@example.com,Nowhere,XL\n\
        ,,,somebody,,,\n";
    let outcome = world
        .import(&tenant, plan(RecordKind::Card), file)
        .await
        .unwrap();
    let told: Vec<_> = outcome
        .rows
        .iter()
        .map(|row| {
            let columns = row.problems.iter().map(|one| one.column.as_str());
            columns.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let all = [
        "currency responsible field.size contact status",
        "responsible title",
    ];
    assert_eq!(told, all, "{:?}", outcome.refused);
    assert!(world.contacts(&tenant).await.is_empty() && world.cards(&tenant).await.is_empty());
}

/// What differs of a known record is named, also where it is a custom field.
#[tokio::test]
async fn i28_a_known_row_that_says_something_else_names_the_fields_in_which_it_does() {
    let (world, tenant) = (world().await, tenant());
    for key in ["size", "colour"] {
        world
            .field_of(&tenant, field::Entity::Contact, key, field::Type::Text)
            .await;
    }
    let asked = || plan(RecordKind::Contact);
    let file = "id,name,field.size,field.colour\na,Anna,S,red\n";
    let made = world.import(&tenant, asked(), file).await.unwrap();
    assert_eq!(made.counts(), [1, 0, 0, 0]);
    let file = "id,name,field.size,field.colour\na,Anne,S,blue\n";
    let outcome = world.import(&tenant, asked(), file).await.unwrap();
    let expected =
        "2 id: is known already, with another name, field.colour: import with update to change it";
    assert_eq!(outcome.refused, [expected]);
}
