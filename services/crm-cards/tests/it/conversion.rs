//! Conversion of leads into deals, with contacts and companies.

use chassis::access::{KindAccess, View};
use chassis::testing;
use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);

/// An account with a pipeline, and the lead of a chat.
async fn with_lead(world: &World) -> (Tenant, Pipeline, Opening, Card) {
    let tenant = tenant();
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let chat = Chat {
        channel: CHANNEL,
        user: "olena",
    };
    let opening = tenant.opening(chat, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    assert_eq!(card.kind(), EntityKind::Lead);
    (tenant, pipeline, opening, card)
}

fn of(card: &Card) -> ConvertCardRequest {
    ConvertCardRequest {
        card_id: card.card_id.clone(),
        ..ConvertCardRequest::default()
    }
}

async fn convert(
    world: &World,
    tenant: &Tenant,
    request: ConvertCardRequest,
) -> Result<ConvertCardResponse, Status> {
    let answer = world.api.convert_card(tenant.ask(request)).await?;
    Ok(answer.into_inner())
}

fn points(value: &str) -> ContactPoints {
    ContactPoints {
        values: vec![value.into()],
    }
}

fn money(amount: &str) -> Money {
    Money {
        currency: "UAH".into(),
        amount: amount.into(),
    }
}

#[tokio::test]
async fn f136_f137_f140_a_lead_becomes_a_deal_with_contact_and_company_in_one_act() {
    let world = world().await;
    let (tenant, pipeline, opening, lead) = with_lead(&world).await;
    world
        .field(&tenant, "city", field::Type::Text)
        .await
        .unwrap();
    let before = world.published(&tenant.account).await.len();
    let working = &pipeline.statuses[1];
    let request = ConvertCardRequest {
        expected_revision: Some(lead.revision),
        contact: Some(ConvertedContact {
            name: Some("Olena Kovalenko".into()),
            phones: Some(points("+380441234567")),
            emails: Some(points("Olena@Example.com")),
            ..ConvertedContact::default()
        }),
        company: Some(ConvertedCompany {
            name: "Kava".into(),
            emails: vec!["office@kava.example".into()],
            ..ConvertedCompany::default()
        }),
        deal: Some(ConvertedDeal {
            title: Some("Three tables".into()),
            amount: Some(money("1200.50")),
            status_id: working.status_id.clone(),
            ..ConvertedDeal::default()
        }),
        ..of(&lead)
    };
    let made = convert(&world, &tenant, request).await.unwrap();
    let (deal, contact) = (made.card.unwrap(), made.contact.unwrap());
    let company = made.company.unwrap();
    // The same card, a deal now, where everything that refers to it finds it.
    assert_eq!(
        (&deal.card_id, deal.kind()),
        (&lead.card_id, EntityKind::Deal)
    );
    assert_eq!(
        (&*deal.title, deal.amount.clone()),
        ("Three tables", Some(money("1200.50")))
    );
    assert_eq!(deal.status.as_ref(), Some(working));
    assert_eq!(deal.contact_id, lead.contact_id);
    assert_eq!(
        (&contact.contact_id, &*contact.name),
        (&lead.contact_id, "Olena Kovalenko")
    );
    assert_eq!(
        (&*contact.phones[0], &*contact.emails[0]),
        ("+380441234567", "olena@example.com")
    );
    assert_eq!(contact.identities.len(), 1);
    assert_eq!(
        (&contact.company_id, &*company.name),
        (&company.company_id, "Kava")
    );
    assert!(!contact.buyer);
    // What the chat is linked to shows all of it at once (F137).
    let seen = world.connections(&tenant, &opening.chat()).await;
    assert_eq!(seen.cards.len(), 1);
    assert_eq!(seen.cards[0].kind(), EntityKind::Deal);
    assert_eq!(seen.contact.unwrap().name, "Olena Kovalenko");
    assert_eq!(seen.company.unwrap(), company);
    // It is found by the contact's new name.
    let by_name = ListCardsRequest {
        text: "kovalenko".into(),
        ..ListCardsRequest::default()
    };
    let found = world.api.list_cards(tenant.ask(by_name)).await.unwrap();
    assert_eq!(found.into_inner().cards.len(), 1);
    let published = world.published(&tenant.account).await.split_off(before);
    let names: Vec<&str> = published.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "company.created",
            "contact.updated",
            "card.updated",
            "card.moved",
            "card.converted"
        ]
    );
    let told: CardConverted = published[4].read();
    assert_eq!(told.card.unwrap().card_id, deal.card_id);
    assert!(told.company_created && !told.contact_created);
    assert_eq!(told.company.unwrap().company_id, company.company_id);
    let history = world.history(&tenant, &lead.card_id).await;
    assert!(
        history.iter().any(|entry| entry.contains("kind: ")),
        "{history:?}"
    );
    assert!(
        history.iter().any(|entry| entry.starts_with("moved by")),
        "{history:?}"
    );
    let of_contact = Entity::ContactId(contact.contact_id);
    let history = world.history_of(&tenant, of_contact, &[]).await;
    assert!(history[0].contains("company_id"), "{history:?}");
}

#[tokio::test]
async fn f136_a_lead_without_a_contact_gets_one_with_its_title_and_its_responsible() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let request = CreateCardRequest {
        title: "Olena".into(),
        responsible_agent_id: ANNA.to_string(),
        ..CreateCardRequest::default()
    };
    let lead = world.new_card(&tenant, request).await.unwrap();
    assert_eq!(lead.contact_id, "");
    let request = ConvertCardRequest {
        company: Some(ConvertedCompany {
            name: "Kava".into(),
            responsible_agent_id: Some(String::new()),
            ..ConvertedCompany::default()
        }),
        ..of(&lead)
    };
    let made = convert(&world, &tenant, request).await.unwrap();
    let (deal, contact) = (made.card.unwrap(), made.contact.unwrap());
    assert_eq!(
        (deal.kind(), &deal.contact_id),
        (EntityKind::Deal, &contact.contact_id)
    );
    assert_eq!(
        (&*contact.name, &*contact.responsible_agent_id),
        ("Olena", &*ANNA.to_string())
    );
    assert_eq!(contact.company_id, made.company.clone().unwrap().company_id);
    assert_eq!(made.company.unwrap().responsible_agent_id, "");
    let names = world.names(&tenant.account).await;
    let of_people = names.iter().filter(|name| !name.starts_with("card."));
    let of_people: Vec<&str> = of_people.map(String::as_str).collect();
    assert_eq!(
        of_people,
        // Of the lead, then of the contact.
        [
            "entity.responsible-changed",
            "company.created",
            "contact.created",
            "entity.responsible-changed"
        ]
    );
    // A lead without a contact takes one that exists.
    let second = world.card(&tenant, "Olena again").await;
    let request = ConvertCardRequest {
        contact: Some(ConvertedContact {
            contact_id: contact.contact_id.clone(),
            ..ConvertedContact::default()
        }),
        ..of(&second)
    };
    let made = convert(&world, &tenant, request).await.unwrap();
    assert_eq!(made.card.unwrap().contact_id, contact.contact_id);
    assert_eq!(made.contact.unwrap(), contact);
    assert_eq!(world.contacts(&tenant).await.len(), 1);
}

#[tokio::test]
async fn f136_a_lead_that_lost_its_contact_gets_that_of_its_chat_back() {
    let world = world().await;
    let (tenant, _, _, lead) = with_lead(&world).await;
    let change = UpdateCardRequest {
        card_id: lead.card_id.clone(),
        contact_id: Some(String::new()),
        ..UpdateCardRequest::default()
    };
    let lost = world.update_card(&tenant, change).await.unwrap();
    assert_eq!(lost.contact_id, "");
    let made = convert(&world, &tenant, of(&lead)).await.unwrap();
    assert_eq!(made.card.unwrap().contact_id, lead.contact_id);
    assert_eq!(world.contacts(&tenant).await.len(), 1);
}

#[tokio::test]
async fn d05_a_contact_that_becomes_a_buyer_takes_its_other_leads_along() {
    let world = world().await;
    let (tenant, _, opening, lead) = with_lead(&world).await;
    let from_chat = CreateCardRequest {
        chat_id: opening.chat(),
        ..CreateCardRequest::default()
    };
    let other = world.new_card(&tenant, from_chat).await.unwrap();
    assert_eq!(other.kind(), EntityKind::Lead);
    let request = ConvertCardRequest {
        contact: Some(ConvertedContact {
            buyer: true,
            ..ConvertedContact::default()
        }),
        ..of(&lead)
    };
    let made = convert(&world, &tenant, request).await.unwrap();
    assert!(made.contact.unwrap().buyer);
    let other = world.get_card(&tenant, &other.card_id).await.unwrap();
    assert_eq!(other.kind(), EntityKind::Deal);
    // Each card changed once.
    let deal = world.get_card(&tenant, &lead.card_id).await.unwrap();
    assert_eq!((deal.revision, other.revision), (lead.revision + 1, 2));
}

#[tokio::test]
async fn b02_a_repeat_is_the_first_answer_and_a_deal_is_not_converted_again() {
    let world = world().await;
    let (tenant, _, _, lead) = with_lead(&world).await;
    let request = ConvertCardRequest {
        request_id: "once".into(),
        company: Some(ConvertedCompany {
            name: "Kava".into(),
            ..ConvertedCompany::default()
        }),
        ..of(&lead)
    };
    let (first, second) = tokio::join!(
        convert(&world, &tenant, request.clone()),
        convert(&world, &tenant, request.clone())
    );
    assert_eq!(first.unwrap(), second.unwrap());
    let again = convert(&world, &tenant, of(&lead)).await.unwrap_err();
    assert_eq!(
        (again.code(), &*reason(&again)),
        (Code::FailedPrecondition, "CARD_IS_DEAL")
    );
    // Two who convert at once: one does.
    let other = world.card(&tenant, "Other").await;
    let (one, two) = tokio::join!(
        convert(&world, &tenant, of(&other)),
        convert(&world, &tenant, of(&other))
    );
    let refused = [one, two].into_iter().filter_map(Result::err);
    let refused: Vec<Code> = refused.map(|status| status.code()).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let names = world.names(&tenant.account).await;
    let converted = names.iter().filter(|name| *name == "card.converted");
    assert_eq!(converted.count(), 2);
    let companies = names.iter().filter(|name| *name == "company.created");
    assert_eq!(companies.count(), 1);
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
#[tokio::test]
async fn what_is_wrong_with_a_conversion_is_named_and_nothing_is_half_done() {
    let world = world().await;
    let (tenant, pipeline, _, lead) = with_lead(&world).await;
    let other_pipeline = world.pipeline(&tenant).await;
    let stranger = CreateContactRequest {
        name: "Bohdan".into(),
        ..CreateContactRequest::default()
    };
    let stranger = world.new_contact(&tenant, stranger).await.unwrap();
    let required = CreateFieldRequest {
        entity: field::Entity::Card.into(),
        key: "city".into(),
        name: "City".into(),
        r#type: field::Type::Text.into(),
        required: true,
        ..CreateFieldRequest::default()
    };
    world.api.create_field(tenant.ask(required)).await.unwrap();
    let company = || {
        Some(ConvertedCompany {
            name: "Kava".into(),
            ..ConvertedCompany::default()
        })
    };
    let contact = |contact: ConvertedContact| ConvertCardRequest {
        contact: Some(contact),
        company: company(),
        ..of(&lead)
    };
    let deal = |deal: ConvertedDeal| ConvertCardRequest {
        deal: Some(deal),
        company: company(),
        ..of(&lead)
    };
    let unknown = Uuid::from_u128(404).to_string();
    let before = world.published(&tenant.account).await.len();
    for (request, expected) in [
        (
            contact(ConvertedContact {
                phones: Some(points("12")),
                ..ConvertedContact::default()
            }),
            "contact.phones.values[0]",
        ),
        (
            contact(ConvertedContact {
                emails: Some(points("nobody")),
                ..ConvertedContact::default()
            }),
            "contact.emails.values[0]",
        ),
        (
            contact(ConvertedContact {
                contact_id: stranger.contact_id.clone(),
                ..ConvertedContact::default()
            }),
            "contact.contact_id",
        ),
        (
            contact(ConvertedContact {
                name: Some(" ".into()),
                ..ConvertedContact::default()
            }),
            "contact.name",
        ),
        (
            ConvertCardRequest {
                company: Some(ConvertedCompany::default()),
                ..of(&lead)
            },
            "company.name",
        ),
        (
            ConvertCardRequest {
                company: Some(ConvertedCompany {
                    name: "Kava".into(),
                    phones: vec!["12".into()],
                    ..ConvertedCompany::default()
                }),
                ..of(&lead)
            },
            "company.phones[0]",
        ),
        (
            ConvertCardRequest {
                company: Some(ConvertedCompany {
                    company_id: unknown.clone(),
                    ..ConvertedCompany::default()
                }),
                ..of(&lead)
            },
            "company.company_id",
        ),
        (
            ConvertCardRequest {
                company: Some(ConvertedCompany {
                    company_id: unknown.clone(),
                    name: "Kava".into(),
                    ..ConvertedCompany::default()
                }),
                ..of(&lead)
            },
            "company.company_id",
        ),
        (
            deal(ConvertedDeal {
                status_id: other_pipeline.statuses[0].status_id.clone(),
                ..ConvertedDeal::default()
            }),
            "deal.status_id",
        ),
        (
            deal(ConvertedDeal {
                pipeline_id: unknown.clone(),
                ..ConvertedDeal::default()
            }),
            "deal.pipeline_id",
        ),
        (
            deal(ConvertedDeal {
                amount: Some(money("1.234")),
                ..ConvertedDeal::default()
            }),
            "deal.amount.amount",
        ),
        // A form asks for required fields (F140).
        (
            deal(ConvertedDeal {
                title: Some("Deal".into()),
                ..ConvertedDeal::default()
            }),
            "deal.fields[city]",
        ),
    ] {
        let refused = convert(&world, &tenant, request).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{expected}: {refused}"
        );
        assert_eq!(field(&refused), expected);
    }
    let stale = ConvertCardRequest {
        expected_revision: Some(lead.revision + 1),
        company: company(),
        ..of(&lead)
    };
    let stale = convert(&world, &tenant, stale).await.unwrap_err();
    assert_eq!(
        (stale.code(), &*reason(&stale)),
        (Code::Aborted, "CHANGED_MEANWHILE")
    );
    assert_eq!(world.published(&tenant.account).await.len(), before);
    let seen = world.get_card(&tenant, &lead.card_id).await.unwrap();
    assert_eq!(
        (seen.kind(), seen.revision),
        (EntityKind::Lead, lead.revision)
    );
    // Without a form nothing is asked for, and another pipeline begins with its first status (D04).
    let request = ConvertCardRequest {
        deal: Some(ConvertedDeal {
            pipeline_id: other_pipeline.pipeline_id.clone(),
            fields: [(
                "city".to_owned(),
                FieldValue {
                    value: Some(field_value::Value::Text("Kyiv".into())),
                },
            )]
            .into(),
            ..ConvertedDeal::default()
        }),
        ..of(&lead)
    };
    let made = convert(&world, &tenant, request)
        .await
        .unwrap()
        .card
        .unwrap();
    assert_ne!(made.pipeline_id, pipeline.pipeline_id);
    assert_eq!(made.status.unwrap().kind(), StatusKind::New);
    assert_eq!(made.fields.len(), 1);
}

#[tokio::test]
async fn x11_a_conversion_changes_no_contact_that_the_caller_does_not_see() {
    let world = world().await;
    let (tenant, _, _, lead) = with_lead(&world).await;
    let change = UpdateCardRequest {
        card_id: lead.card_id.clone(),
        responsible_agent_id: Some(ANNA.to_string()),
        ..UpdateCardRequest::default()
    };
    world.update_card(&tenant, change).await.unwrap();
    let mut record = testing::full_access(ANNA.into());
    let own = KindAccess {
        create: true,
        view: View::Own,
    };
    (record.leads, record.contacts) = (own, own);
    let anna = tenant.agent(record.clone());
    let rename = ConvertCardRequest {
        contact: Some(ConvertedContact {
            name: Some("Mine".into()),
            ..ConvertedContact::default()
        }),
        ..of(&lead)
    };
    let refused = convert(&world, &anna, rename).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*field(&refused)),
        (Code::InvalidArgument, "contact.contact_id")
    );
    // Who may not create contacts and companies makes none by converting.
    record.contacts.create = false;
    let reader = tenant.agent(record.clone());
    let company = ConvertCardRequest {
        company: Some(ConvertedCompany {
            name: "Kava".into(),
            ..ConvertedCompany::default()
        }),
        ..of(&lead)
    };
    let refused = convert(&world, &reader, company).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::PermissionDenied, "CRM_ACCESS_MISSING")
    );
    // A colleague's lead is none.
    record.agent = BOB.into();
    let bob = tenant.agent(record);
    let hidden = convert(&world, &bob, of(&lead)).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    let elsewhere = convert(&world, &crate::world::tenant(), of(&lead))
        .await
        .unwrap_err();
    assert_eq!(elsewhere.code(), Code::NotFound);
    // The lead itself is theirs to convert; the contact is not shown.
    let made = convert(&world, &anna, of(&lead)).await.unwrap();
    assert_eq!(made.card.unwrap().kind(), EntityKind::Deal);
    assert_eq!(made.contact, None);
}
