//! Contacts that are made, changed, found and deleted by hand.

use chassis::access::{KindAccess, View};
use chassis::testing;
use crm_cards::store::Before;
use crm_cards::store::card_lists::Responsible;
use crm_cards::store::person_lists::{Filter, Listed, statements};
use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::lists::{fill, uuid_of};
use crate::world::{Chat, Tenant, World, fact, field, fields, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);

fn contact(name: &str) -> CreateContactRequest {
    CreateContactRequest {
        name: name.into(),
        ..CreateContactRequest::default()
    }
}

fn update(contact: &Contact) -> UpdateContactRequest {
    UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        ..UpdateContactRequest::default()
    }
}

fn points(values: &[&str]) -> ContactPoints {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    ContactPoints { values }
}

async fn set_region(world: &World, tenant: &Tenant, region: &str) {
    let request = SetContactSettingsRequest {
        settings: Some(ContactSettings {
            phone_region: region.into(),
        }),
    };
    let answer = world.api.set_contact_settings(tenant.ask(request)).await;
    assert_eq!(
        answer.unwrap().into_inner().settings.unwrap().phone_region,
        region
    );
}

async fn names_of(world: &World, tenant: &Tenant, request: ListContactsRequest) -> Vec<String> {
    let answer = world.api.list_contacts(tenant.ask(request)).await.unwrap();
    let contacts = answer.into_inner().contacts.into_iter();
    contacts.map(|contact| contact.name).collect()
}

#[tokio::test]
async fn f106_f107_f108_a_contact_is_made_and_changed_and_its_history_tells_how() {
    let (world, tenant) = (world().await, tenant());
    set_region(&world, &tenant, "UA").await;
    world
        .field_of(&tenant, field::Entity::Contact, "city", field::Type::Text)
        .await;
    let city = |text: &str| FieldValue {
        value: Some(field_value::Value::Text(text.into())),
    };
    let request = CreateContactRequest {
        request_id: "once".into(),
        phones: vec![
            "044 123 45 67".into(),
            "+380441234567".into(),
            "+15208782491".into(),
        ],
        emails: vec!["Anna@Example.com".into()],
        fields: [("city".to_owned(), city("Kyiv"))].into(),
        ..contact("Anna")
    };
    let made = world.new_contact(&tenant, request.clone()).await.unwrap();
    assert_eq!(made.phones, ["+380441234567", "+15208782491"]);
    assert_eq!(made.emails, ["anna@example.com"]);
    assert_eq!(made.fields["city"], city("Kyiv"));
    assert_eq!(world.new_contact(&tenant, request).await.unwrap(), made);
    let change = UpdateContactRequest {
        expected_revision: Some(made.revision),
        name: Some("Anna B".into()),
        phones: Some(points(&["+15208782491"])),
        fields: [("city".to_owned(), FieldValue::default())].into(),
        ..update(&made)
    };
    let changed = world.update_contact(&tenant, change.clone()).await.unwrap();
    assert_eq!((&*changed.name, changed.revision), ("Anna B", 2));
    assert_eq!((changed.phones.len(), changed.emails.len()), (1, 1));
    assert!(changed.fields.is_empty());
    let stale = world.update_contact(&tenant, change).await.unwrap_err();
    assert_eq!(
        (stale.code(), &*reason(&stale)),
        (Code::Aborted, "CHANGED_MEANWHILE")
    );
    assert_eq!(fact(&stale, "revision"), "2");
    // The same again is no change.
    let same = UpdateContactRequest {
        name: Some("Anna B".into()),
        ..update(&made)
    };
    assert_eq!(world.update_contact(&tenant, same).await.unwrap(), changed);
    let about = Entity::ContactId(made.contact_id.clone());
    let told = world.history_of(&tenant, about, &[]).await;
    assert_eq!(told.len(), 2, "{told:?}");
    for part in [
        "updated by service:tests:",
        "name: Anna -> Anna B",
        "phones: [+380441234567,+15208782491] -> [+15208782491]",
        "fields.city.text: Kyiv -> .",
    ] {
        assert!(told[0].contains(part), "{part}: {told:?}");
    }
    assert!(told[1].starts_with("created by service:tests:"), "{told:?}");
    assert_eq!(
        world.names(&tenant.account).await,
        ["contact.created", "contact.updated"]
    );
}

#[tokio::test]
async fn wrong_phones_and_addresses_are_refused_by_name_and_nothing_is_half_done() {
    let (world, tenant) = (world().await, tenant());
    let wrong = CreateContactRequest {
        phones: vec!["+380441234567".into(), "044 123 45 67".into(), "12".into()],
        emails: vec!["anna".into()],
        ..contact("Anna")
    };
    let refused = world.new_contact(&tenant, wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(fields(&refused), ["phones[1]", "phones[2]", "emails[0]"]);
    assert!(world.contacts(&tenant).await.is_empty());
    let made = world.new_contact(&tenant, contact("Anna")).await.unwrap();
    let too_many: Vec<String> = (0..21).map(|n| format!("a{n}@example.com")).collect();
    for (change, named) in [
        (
            UpdateContactRequest {
                name: Some("Other".into()),
                phones: Some(points(&["044 123 45 67"])),
                ..update(&made)
            },
            "phones.values[0]",
        ),
        (
            UpdateContactRequest {
                emails: Some(ContactPoints { values: too_many }),
                ..update(&made)
            },
            "emails.values",
        ),
        (
            UpdateContactRequest {
                company_id: Some(ANNA.to_string()),
                ..update(&made)
            },
            "company_id",
        ),
        (
            UpdateContactRequest {
                name: Some(" ".into()),
                ..update(&made)
            },
            "name",
        ),
        (
            UpdateContactRequest {
                fields: [("city".to_owned(), FieldValue::default())].into(),
                ..update(&made)
            },
            "fields[city]",
        ),
    ] {
        let refused = world.update_contact(&tenant, change).await.unwrap_err();
        assert_eq!(
            (refused.code(), &*field(&refused)),
            (Code::InvalidArgument, named)
        );
    }
    assert_eq!(world.contacts(&tenant).await, [made]);
    assert_eq!(world.names(&tenant.account).await, ["contact.created"]);
    let odd = SetContactSettingsRequest {
        settings: Some(ContactSettings {
            phone_region: "Ukraine".into(),
        }),
    };
    let refused = world
        .api
        .set_contact_settings(tenant.ask(odd))
        .await
        .unwrap_err();
    assert_eq!(field(&refused), "settings.phone_region");
    let search = ListContactsRequest {
        phone: "044 123 45 67".into(),
        ..ListContactsRequest::default()
    };
    let refused = world
        .api
        .list_contacts(tenant.ask(search))
        .await
        .unwrap_err();
    assert_eq!(field(&refused), "phone");
}

#[tokio::test]
async fn f043_f044_another_responsible_is_told_with_all_chats_and_the_stamp_of_the_act() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let chats = [1, 2].map(|channel| {
        let chat = Chat {
            channel: Uuid::from_u128(channel),
            user: "1",
        };
        tenant.opening(chat, i64::try_from(channel).unwrap())
    });
    for opening in &chats {
        world.handle(&[opening.delivery()]).await.unwrap();
    }
    let known = world.contacts(&tenant).await.remove(0);
    let change = UpdateContactRequest {
        responsible_agent_id: Some(ANNA.to_string()),
        ..update(&known)
    };
    world.update_contact(&tenant, change).await.unwrap();
    // By hand, with a responsible from the beginning: linked to no chat (F050).
    let by_hand = CreateContactRequest {
        responsible_agent_id: BOB.to_string(),
        ..contact("Bob's")
    };
    world.new_contact(&tenant, by_hand).await.unwrap();
    let published = world.published(&tenant.account).await;
    let changed: Vec<EntityResponsibleChanged> = published
        .iter()
        .filter(|event| event.name == "entity.responsible-changed")
        .map(crate::world::Published::read)
        .collect();
    let [first, second] = changed.as_slice() else {
        panic!("two: {changed:?}");
    };
    let mut ids: Vec<String> = chats.iter().map(crate::world::Opening::chat).collect();
    ids.sort();
    let mut told = first.chat_ids.clone();
    told.sort();
    assert_eq!(told, ids);
    let entity = first.entity.clone().unwrap();
    assert_eq!(
        (
            entity.kind(),
            entity.entity_id.as_str(),
            entity.responsible_agent_id.as_str()
        ),
        (
            EntityKind::Contact,
            known.contact_id.as_str(),
            ANNA.to_string().as_str()
        )
    );
    assert!(entity.stamp.unwrap().time.unwrap().seconds > 0);
    assert_eq!(second.chat_ids, Vec::<String>::new());
    // Another change of the contact is none of its responsible (F042).
    let rename = UpdateContactRequest {
        name: Some("Renamed".into()),
        ..update(&known)
    };
    world.update_contact(&tenant, rename).await.unwrap();
    let names = world.names(&tenant.account).await;
    let count = names
        .iter()
        .filter(|name| *name == "entity.responsible-changed");
    assert_eq!(count.count(), 2);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of filters")]
async fn f158_contacts_are_listed_by_each_filter() {
    let (world, tenant) = (world().await, tenant());
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    world
        .handle(&[tenant.opening(chat, 1).delivery()])
        .await
        .unwrap();
    let company = CreateCompanyRequest {
        name: "Oak".into(),
        ..CreateCompanyRequest::default()
    };
    let company = world
        .new_company(&tenant, company)
        .await
        .unwrap()
        .company_id;
    let with_all = CreateContactRequest {
        phones: vec!["+380441234567".into()],
        emails: vec!["o'neil@example.com".into()],
        company_id: company.clone(),
        responsible_agent_id: ANNA.to_string(),
        buyer: true,
        ..contact("Anna O'Neil")
    };
    world.new_contact(&tenant, with_all).await.unwrap();
    world.new_contact(&tenant, contact("Bohdan")).await.unwrap();
    let none = ListContactsRequest::default;
    for (name, request, expected) in [
        ("all", none(), vec!["Bohdan", "Anna O'Neil", "Client 1"]),
        (
            "text",
            ListContactsRequest {
                text: "ann neil".into(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "text of an address",
            ListContactsRequest {
                text: "example".into(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "digits of a phone",
            ListContactsRequest {
                text: "38044123".into(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "no word",
            ListContactsRequest {
                text: "?!".into(),
                ..none()
            },
            vec![],
        ),
        (
            "phone",
            ListContactsRequest {
                phone: "+380 44 123-45-67".into(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "e-mail",
            ListContactsRequest {
                email: "O'Neil@Example.com".into(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "part of an e-mail",
            ListContactsRequest {
                email: "neil@example.com".into(),
                ..none()
            },
            vec![],
        ),
        (
            "company",
            ListContactsRequest {
                company_id: company,
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "agent",
            ListContactsRequest {
                responsible_agent_id: ANNA.to_string(),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "nobody",
            ListContactsRequest {
                owner: PersonOwner::None.into(),
                ..none()
            },
            vec!["Bohdan", "Client 1"],
        ),
        (
            "a service's own",
            ListContactsRequest {
                owner: PersonOwner::Mine.into(),
                ..none()
            },
            vec![],
        ),
        (
            "buyers",
            ListContactsRequest {
                buyer: Some(true),
                ..none()
            },
            vec!["Anna O'Neil"],
        ),
        (
            "others",
            ListContactsRequest {
                buyer: Some(false),
                ..none()
            },
            vec!["Bohdan", "Client 1"],
        ),
        (
            "messenger",
            ListContactsRequest {
                messenger: "telegram".into(),
                ..none()
            },
            vec!["Client 1"],
        ),
        (
            "other messenger",
            ListContactsRequest {
                messenger: "viber".into(),
                ..none()
            },
            vec![],
        ),
        (
            "several",
            ListContactsRequest {
                buyer: Some(true),
                text: "anna".into(),
                owner: PersonOwner::None.into(),
                ..none()
            },
            vec![],
        ),
    ] {
        assert_eq!(names_of(&world, &tenant, request).await, expected, "{name}");
    }
    // Pages of one follow each other to the end.
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListContactsRequest {
            page_size: 1,
            page_token,
            ..none()
        };
        let page = world.api.list_contacts(tenant.ask(request)).await.unwrap();
        let page = page.into_inner();
        found.extend(page.contacts.into_iter().map(|contact| contact.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["Bohdan", "Anna O'Neil", "Client 1"]);
    let stranger = crate::world::tenant();
    assert!(names_of(&world, &stranger, none()).await.is_empty());
}

#[tokio::test]
async fn f177_an_agent_with_own_contacts_sees_and_changes_no_others() {
    let (world, tenant) = (world().await, tenant());
    let mut record = testing::full_access(ANNA.into());
    record.contacts = KindAccess {
        create: true,
        view: View::Own,
    };
    let own = tenant.agent(record.clone());
    let mine = CreateContactRequest {
        responsible_agent_id: ANNA.to_string(),
        ..contact("Mine")
    };
    let mine = world.new_contact(&own, mine).await.unwrap();
    let theirs = world.new_contact(&tenant, contact("Theirs")).await.unwrap();
    assert_eq!(
        names_of(&world, &own, ListContactsRequest::default()).await,
        ["Mine"]
    );
    let rename = |contact: &Contact| UpdateContactRequest {
        name: Some("Renamed".into()),
        ..update(contact)
    };
    world.update_contact(&own, rename(&mine)).await.unwrap();
    let refused = world
        .update_contact(&own, rename(&theirs))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::NotFound, "CONTACT_UNKNOWN")
    );
    for (from, into) in [(&mine, &theirs), (&theirs, &mine)] {
        let refused = world.merge(&own, from, into).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
    record.contacts = KindAccess {
        create: false,
        view: View::All,
    };
    let reader = tenant.agent(record);
    let refused = world
        .new_contact(&reader, contact("New"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::PermissionDenied, "CRM_ACCESS_MISSING")
    );
}

#[tokio::test]
async fn a_contact_is_deleted_only_while_nothing_is_linked_to_it() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    world
        .handle(&[tenant.opening(chat, 1).delivery()])
        .await
        .unwrap();
    let linked = world.contacts(&tenant).await.remove(0);
    world.save_buyer(&tenant, &linked.contact_id).await;
    world
        .create_order(&tenant, &linked.contact_id)
        .await
        .unwrap();
    let delete = |contact: &Contact, expected_revision| DeleteContactRequest {
        contact_id: contact.contact_id.clone(),
        expected_revision,
    };
    let refused = world
        .api
        .delete_contact(tenant.ask(delete(&linked, None)))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "CONTACT_IS_LINKED")
    );
    for what in ["identities", "chats", "cards", "orders"] {
        assert_eq!(fact(&refused, what), "1", "{what}");
    }
    let free = world.new_contact(&tenant, contact("Free")).await.unwrap();
    let stale = delete(&free, Some(7));
    let refused = world
        .api
        .delete_contact(tenant.ask(stale))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let fits = delete(&free, Some(1));
    world
        .api
        .delete_contact(tenant.ask(fits.clone()))
        .await
        .unwrap();
    let gone = world
        .api
        .delete_contact(tenant.ask(fits))
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    assert_eq!(world.contacts(&tenant).await.len(), 1);
    let names = world.names(&tenant.account).await;
    assert_eq!(names.last().map(String::as_str), Some("contact.deleted"));
}

#[tokio::test]
async fn a_card_is_found_by_its_contacts_new_name() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let made = world.new_contact(&tenant, contact("Anna")).await.unwrap();
    let card = CreateCardRequest {
        title: "Table".into(),
        contact_id: made.contact_id.clone(),
        ..CreateCardRequest::default()
    };
    world.new_card(&tenant, card).await.unwrap();
    let rename = UpdateContactRequest {
        name: Some("Olena".into()),
        ..update(&made)
    };
    world.update_contact(&tenant, rename).await.unwrap();
    for (text, found) in [("olena", 1), ("anna", 0), ("table", 1)] {
        let request = ListCardsRequest {
            text: text.into(),
            ..ListCardsRequest::default()
        };
        let answer = world.api.list_cards(tenant.ask(request)).await.unwrap();
        assert_eq!(answer.into_inner().cards.len(), found, "{text}");
    }
}

/// Plans of every combination of filters on many contacts and companies: none reads a table from end to end.
#[tokio::test]
async fn every_combination_of_filters_on_people_is_served_by_an_index() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    fill(&world, &tenant, &pipeline).await;
    for statement in [
        "insert into company (account, id, name, created_at, parent, responsible, words)
         select $1, md5('company' || n)::uuid, 'x', now() - n * interval '1 s', null,
                case when n % 5 > 0 then md5('agent' || n % 50)::uuid end,
                ('''@' || $1 || ''' ''word' || n % 200 || ''':1A')::tsvector from generate_series(1, 20000) n",
        "update company set parent = md5('company1')::uuid
         where account = $1 and id = any(array(select md5('company' || n * 100)::uuid from generate_series(1, 200) n))",
        "update contact c set company = md5('company' || k.n % 2000 + 1)::uuid, buyer = k.n % 10 = 0,
                responsible = case when k.n % 5 > 0 then md5('agent' || k.n % 50)::uuid end,
                words = ('''@' || $1 || ''' ''word' || k.n % 200 || ''':1A')::tsvector
         from generate_series(1, 20000) k(n) where c.account = $1 and c.id = md5('contact' || k.n)::uuid",
        "analyze",
    ] {
        let query = sqlx::query(statement);
        let query = if statement == "analyze" {
            query
        } else {
            query.bind(tenant.account.as_str())
        };
        query.execute(&world.database.pool).await.unwrap();
    }
    let company = uuid_of(&world, "select md5('company1')::uuid").await;
    let agent = uuid_of(&world, "select md5('agent7')::uuid").await;
    let mut listed = Vec::new();
    for of in [None, Some(company.into())] {
        listed.push(Listed::Companies { parent: of });
        for buyer in [None, Some(true), Some(false)] {
            listed.push(Listed::Contacts { buyer, company: of });
        }
    }
    let mut connection = world.database.pool.acquire().await.unwrap();
    let account = &tenant.account;
    for listed in listed {
        for responsible in [
            Responsible::Any,
            Responsible::Nobody,
            Responsible::Agent(agent),
        ] {
            for words in [None, Some(format!("'@{account}' & 'word7':*"))] {
                let filter = Filter {
                    listed,
                    responsible,
                    words,
                };
                // A walk takes a fifth of these few rows: of them alone it is told that it need not read all.
                let scan = if filter.words.is_some() { "off" } else { "on" };
                let set = sqlx::AssertSqlSafe(format!("set enable_seqscan = {scan}"));
                sqlx::raw_sql(set).execute(&mut *connection).await.unwrap();
                for mut query in statements("explain ", account, &filter, Before::START, 51) {
                    let query = query.build_query_as().persistent(false);
                    let lines: Vec<(String,)> = query.fetch_all(&mut *connection).await.unwrap();
                    let plan: Vec<String> = lines.into_iter().map(|(line,)| line).collect();
                    let scan = plan.iter().any(|line| line.contains("Seq Scan on"));
                    assert!(!scan, "{filter:?}\n{}", plan.join("\n"));
                    let index = plan.iter().any(|line| line.contains("Index"));
                    assert!(index, "{filter:?}\n{}", plan.join("\n"));
                }
            }
        }
    }
}

#[tokio::test]
async fn f034_companies_belong_to_each_other_in_no_circle() {
    let (world, tenant) = (world().await, tenant());
    let mut made = Vec::new();
    for name in ["Oak", "Ash", "Elm"] {
        let parent = made
            .last()
            .map(|company: &Company| company.company_id.clone());
        let request = CreateCompanyRequest {
            name: name.into(),
            parent_company_id: parent.unwrap_or_default(),
            ..CreateCompanyRequest::default()
        };
        made.push(world.new_company(&tenant, request).await.unwrap());
    }
    let into = |company: &Company, parent: &str| UpdateCompanyRequest {
        company_id: company.company_id.clone(),
        parent_company_id: Some(parent.into()),
        ..UpdateCompanyRequest::default()
    };
    let (oak, elm) = (&made[0], &made[2]);
    for parent in [&oak.company_id, &elm.company_id, &ANNA.to_string()] {
        let refused = world
            .update_company(&tenant, into(oak, parent))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), &*field(&refused)),
            (Code::InvalidArgument, "parent_company_id")
        );
    }
    let delete = |company: &Company| DeleteCompanyRequest {
        company_id: company.company_id.clone(),
        expected_revision: None,
    };
    let request = CreateContactRequest {
        company_id: oak.company_id.clone(),
        ..contact("Anna")
    };
    let anna = world.new_contact(&tenant, request).await.unwrap();
    let refused = world
        .api
        .delete_company(tenant.ask(delete(oak)))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "COMPANY_IS_LINKED")
    );
    assert_eq!(
        (fact(&refused, "contacts"), fact(&refused, "companies")),
        ("1".into(), "1".into())
    );
    let free = UpdateContactRequest {
        company_id: Some(String::new()),
        ..update(&anna)
    };
    world.update_contact(&tenant, free).await.unwrap();
    world
        .update_company(&tenant, into(&made[1], ""))
        .await
        .unwrap();
    world
        .api
        .delete_company(tenant.ask(delete(oak)))
        .await
        .unwrap();
    let request = ListCompaniesRequest {
        parent_company_id: made[1].company_id.clone(),
        ..ListCompaniesRequest::default()
    };
    let below = world.api.list_companies(tenant.ask(request)).await.unwrap();
    let below = below.into_inner().companies;
    assert_eq!(
        below
            .iter()
            .map(|company| company.name.as_str())
            .collect::<Vec<_>>(),
        ["Elm"]
    );
    let about = Entity::CompanyId(made[1].company_id.clone());
    let told = world.history_of(&tenant, about, &[]).await;
    assert!(
        told[0].contains(&format!("parent_company_id: {} -> ", oak.company_id)),
        "{told:?}"
    );
}

/// Two companies that are put into each other at once: one of both comes too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_companies_put_into_each_other_at_once_make_no_circle() {
    let world = std::sync::Arc::new(world().await);
    let tenant = tenant();
    for round in 0..8 {
        let mut made = Vec::new();
        for name in ["Oak", "Ash"] {
            let request = CreateCompanyRequest {
                name: format!("{name} {round}"),
                ..CreateCompanyRequest::default()
            };
            let company = world.new_company(&tenant, request).await.unwrap();
            made.push(company.company_id);
        }
        let mut tasks = Vec::new();
        for (company, parent) in [(0, 1), (1, 0)] {
            let (world, tenant) = (std::sync::Arc::clone(&world), tenant.clone());
            let request = UpdateCompanyRequest {
                company_id: made[company].clone(),
                parent_company_id: Some(made[parent].clone()),
                ..UpdateCompanyRequest::default()
            };
            tasks.push(tokio::spawn(async move {
                world.update_company(&tenant, request).await
            }));
        }
        let mut done = Vec::new();
        for task in tasks {
            done.push(task.await.unwrap().map_err(|refused| refused.code()));
        }
        let fine = done.iter().filter(|result| result.is_ok()).count();
        assert_eq!(fine, 1, "{done:?}");
    }
}
