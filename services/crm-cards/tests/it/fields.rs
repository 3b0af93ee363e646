//! Custom fields: definitions, and values of cards.

use std::collections::HashMap;

use chassis::audit::Api;
use chassis::testing;
use switchboard_proto::crm_cards::v1::field::{Entity, Type};
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::field_value::Value;
use switchboard_proto::crm_cards::v1::*;
use switchboard_proto::operator::v1::ListAuditEntriesRequest;
use tonic::Code;

use crate::world::{
    Tenant, World, fact, field as wrong_field, fields as wrong, reason, tenant, world,
};

fn given(values: &[(&str, Option<Value>)]) -> HashMap<String, FieldValue> {
    let values = values.iter().cloned();
    values
        .map(|(key, value)| (key.to_owned(), FieldValue { value }))
        .collect()
}

async fn keys(world: &World, tenant: &Tenant) -> Vec<String> {
    let request = ListFieldsRequest {
        entity: Entity::Card.into(),
    };
    let fields = world.api.list_fields(tenant.ask(request)).await.unwrap();
    let fields = fields.into_inner().fields.into_iter();
    fields.map(|field| field.key).collect()
}

async fn update(world: &World, tenant: &Tenant, request: UpdateFieldRequest) -> Field {
    let answer = world.api.update_field(tenant.ask(request)).await.unwrap();
    answer.into_inner().field.unwrap()
}

#[tokio::test]
async fn a_field_is_created_changed_and_deleted_and_b11_each_is_told() {
    let (world, tenant) = (world().await, tenant());
    let city = world.field(&tenant, "city", Type::Text).await.unwrap();
    let colour = world.field(&tenant, "colour", Type::Select).await.unwrap();
    assert_eq!((city.position, colour.position, city.revision), (0, 1, 1));
    let taken = world
        .field(&tenant, "city", Type::Number)
        .await
        .unwrap_err();
    assert_eq!(
        (taken.code(), reason(&taken)),
        (Code::AlreadyExists, "FIELD_EXISTS".into())
    );
    let changed = UpdateFieldRequest {
        field_id: colour.field_id.clone(),
        name: Some("Colour".into()),
        options: Some(FieldOptions {
            values: vec!["blue".into()],
        }),
        required: Some(true),
        position: Some(-1),
        expected_revision: Some(1),
    };
    let colour = update(&world, &tenant, changed.clone()).await;
    assert_eq!(
        (colour.revision, &*colour.name, colour.required),
        (2, "Colour", true)
    );
    assert_eq!(keys(&world, &tenant).await, ["colour", "city"]);
    let stale = world
        .api
        .update_field(tenant.ask(changed))
        .await
        .unwrap_err();
    assert_eq!(
        (stale.code(), fact(&stale, "revision")),
        (Code::Aborted, "2".into())
    );
    let delete = || DeleteFieldRequest {
        field_id: city.field_id.clone(),
    };
    world.api.delete_field(tenant.ask(delete())).await.unwrap();
    assert_eq!(keys(&world, &tenant).await, ["colour"]);
    let gone = world
        .api
        .delete_field(tenant.ask(delete()))
        .await
        .unwrap_err();
    assert_eq!(
        (gone.code(), reason(&gone)),
        (Code::NotFound, "FIELD_UNKNOWN".into())
    );

    let audit = Api::new(
        "crm-cards",
        world.database.pool.clone(),
        crm_cards::audit::SCOPES,
    );
    let all = ListAuditEntriesRequest::default();
    let told = testing::audited(&audit, &tenant.caller, all).await.unwrap();
    let actions: Vec<&str> = told.iter().map(|entry| &*entry.action).collect();
    assert_eq!(
        actions,
        [
            "field.delete",
            "field.update",
            "field.create",
            "field.create"
        ]
    );
    let lines = testing::told(&told[1]);
    assert!(
        lines.contains(&"options: [red,green] -> [blue]".to_owned()),
        "{lines:?}"
    );
    assert_eq!(
        (&*told[1].subject_kind, &*told[1].subject_name),
        ("field", "Colour")
    );
}

#[tokio::test]
async fn wrong_fields_are_refused_by_name() {
    let (world, tenant) = (world().await, tenant());
    let good = CreateFieldRequest {
        entity: Entity::Card.into(),
        key: "size".into(),
        name: "Size".into(),
        r#type: Type::Number.into(),
        ..CreateFieldRequest::default()
    };
    for (request, expected) in [
        (
            CreateFieldRequest {
                entity: 0,
                ..good.clone()
            },
            "entity",
        ),
        (
            CreateFieldRequest {
                r#type: 0,
                ..good.clone()
            },
            "type",
        ),
        (
            CreateFieldRequest {
                key: "Size".into(),
                ..good.clone()
            },
            "key",
        ),
        (
            CreateFieldRequest {
                name: " ".into(),
                ..good.clone()
            },
            "name",
        ),
        (
            CreateFieldRequest {
                options: vec!["a".into()],
                ..good.clone()
            },
            "options",
        ),
        (
            CreateFieldRequest {
                r#type: Type::Select.into(),
                ..good.clone()
            },
            "options",
        ),
        (
            CreateFieldRequest {
                r#type: Type::Select.into(),
                options: vec![String::new()],
                ..good.clone()
            },
            "options[0]",
        ),
    ] {
        let refused = world
            .api
            .create_field(tenant.ask(request))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), wrong_field(&refused).as_str()),
            (Code::InvalidArgument, expected)
        );
    }
    let insert = "insert into field_definition (account, id, entity, key, name, kind, options, required, position)
                  select $1, gen_random_uuid(), 'card', 'k' || n, 'x', 'text', '{}', false, n
                  from generate_series(1, 100) n";
    let account = tenant.account.as_str();
    sqlx::query(insert)
        .bind(account)
        .execute(&world.database.pool)
        .await
        .unwrap();
    let refused = world
        .api
        .create_field(tenant.ask(good.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "TOO_MANY_FIELDS".into())
    );
    // Each kind of entity has its own.
    let of_contact = CreateFieldRequest {
        entity: Entity::Contact.into(),
        ..good
    };
    world
        .api
        .create_field(tenant.ask(of_contact))
        .await
        .unwrap();
}

#[tokio::test]
async fn f140_a_form_carries_values_of_fields_and_names_each_that_is_wrong() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    for (key, kind) in [
        ("city", Type::Text),
        ("size", Type::Number),
        ("colours", Type::MultiSelect),
    ] {
        world.field(&tenant, key, kind).await.unwrap();
    }
    let fields = world.api.list_fields(tenant.ask(ListFieldsRequest {
        entity: Entity::Card.into(),
    }));
    let city = fields.await.unwrap().into_inner().fields.remove(0);
    let required = UpdateFieldRequest {
        field_id: city.field_id,
        required: Some(true),
        ..UpdateFieldRequest::default()
    };
    update(&world, &tenant, required).await;
    let form = |fields| CreateCardRequest {
        title: "Wardrobe".into(),
        fields,
        ..CreateCardRequest::default()
    };
    let options = |values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Some(Value::Options(field_value::Options { values }))
    };
    let refused = world.new_card(&tenant, form(given(&[]))).await.unwrap_err();
    assert_eq!(wrong(&refused), ["fields[city]"]);
    let bad = given(&[
        ("colours", options(&["pink"])),
        ("length", Some(Value::Number("1".into()))),
        ("size", Some(Value::Text("XL".into()))),
    ]);
    let refused = world.new_card(&tenant, form(bad)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        wrong(&refused),
        [
            "fields[colours]",
            "fields[length]",
            "fields[size]",
            "fields[city]"
        ]
    );
    assert!(world.cards(&tenant).await.is_empty(), "nothing half done");
    let good = given(&[
        ("city", Some(Value::Text("Kyiv".into()))),
        ("size", Some(Value::Number("0.10".into()))),
        ("colours", options(&["green", "red"])),
    ]);
    let card = world.new_card(&tenant, form(good)).await.unwrap();
    let expected = given(&[
        ("city", Some(Value::Text("Kyiv".into()))),
        ("size", Some(Value::Number("0.1".into()))),
        ("colours", options(&["red", "green"])),
    ]);
    assert_eq!(card.fields, expected);
    assert_eq!(world.cards(&tenant).await[0].fields, expected);
}

#[tokio::test]
async fn values_of_a_deleted_field_are_hidden_kept_and_come_back_with_it() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let city = world.field(&tenant, "city", Type::Text).await.unwrap();
    world.field(&tenant, "size", Type::Number).await.unwrap();
    let card = world.card(&tenant, "x").await;
    let update = |fields| UpdateCardRequest {
        card_id: card.card_id.clone(),
        fields,
        ..UpdateCardRequest::default()
    };
    let kyiv = Some(Value::Text("Kyiv".into()));
    let one = Some(Value::Number("1".into()));
    let both = given(&[("city", kyiv.clone()), ("size", one.clone())]);
    let changed = world
        .update_card(&tenant, update(both.clone()))
        .await
        .unwrap();
    assert_eq!((changed.fields, changed.revision), (both.clone(), 2));
    let told = world.history(&tenant, &card.card_id).await;
    assert_eq!(
        told[0],
        "updated by service:tests: fields.city.text: . -> Kyiv, fields.size.number: . -> 1"
    );
    let delete = DeleteFieldRequest {
        field_id: city.field_id.clone(),
    };
    world.api.delete_field(tenant.ask(delete)).await.unwrap();
    let hidden = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(hidden.fields, given(&[("size", one)]));
    let refused = world
        .update_card(&tenant, update(given(&[("city", kyiv)])))
        .await
        .unwrap_err();
    assert_eq!(wrong(&refused), ["fields[city]"]);
    // Another change does not lose them, and another kind of the same key does not show them.
    let two = Some(Value::Number("2".into()));
    world
        .update_card(&tenant, update(given(&[("size", two.clone())])))
        .await
        .unwrap();
    let other = world.field(&tenant, "city", Type::Flag).await.unwrap();
    assert_ne!(other.field_id, city.field_id);
    let hidden = world.get_card(&tenant, &card.card_id).await.unwrap();
    assert_eq!(hidden.fields, given(&[("size", two.clone())]));
    let delete = DeleteFieldRequest {
        field_id: other.field_id,
    };
    world.api.delete_field(tenant.ask(delete)).await.unwrap();
    let again = world.field(&tenant, "city", Type::Text).await.unwrap();
    assert_eq!((&again.field_id, again.revision), (&city.field_id, 2));
    let shown = world.get_card(&tenant, &card.card_id).await.unwrap();
    let expected = given(&[("city", Some(Value::Text("Kyiv".into()))), ("size", two)]);
    assert_eq!(shown.fields, expected);
    // Cleared it is gone.
    let cleared = world
        .update_card(&tenant, update(given(&[("city", None), ("size", None)])))
        .await
        .unwrap();
    assert!(cleared.fields.is_empty());
}
