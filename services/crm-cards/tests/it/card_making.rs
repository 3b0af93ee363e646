//! Cards made by hand: with one call from a chat, and with a form.

use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, field, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);

const CHAT: Chat<'static> = Chat {
    channel: CHANNEL,
    user: "1",
};

fn money(currency: &str, amount: &str) -> Money {
    Money {
        currency: currency.into(),
        amount: amount.into(),
    }
}

#[tokio::test]
async fn f132_d28_one_call_makes_a_card_in_the_channels_pipeline_else_in_the_first() {
    let (world, tenant) = (world().await, tenant());
    let first = world.pipeline(&tenant).await;
    let second = world.pipeline(&tenant).await;
    let opening = tenant.opening(CHAT, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    // A field that forms ask for is not asked for by one call.
    let city = CreateFieldRequest {
        entity: field::Entity::Card.into(),
        key: "city".into(),
        name: "City".into(),
        r#type: field::Type::Text.into(),
        required: true,
        ..CreateFieldRequest::default()
    };
    world.api.create_field(tenant.ask(city)).await.unwrap();
    let one_call = || CreateCardRequest {
        chat_id: opening.chat(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, one_call()).await.unwrap();
    assert_eq!(card.pipeline_id, first.pipeline_id);
    assert_eq!((&*card.title, &*card.messenger), ("Client 1", "telegram"));
    let rule = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::None.into(),
        pipeline_id: second.pipeline_id.clone(),
        ..PipelineConnection::default()
    };
    world.connect(&tenant, rule).await.unwrap();
    let card = world.new_card(&tenant, one_call()).await.unwrap();
    assert_eq!(card.pipeline_id, second.pipeline_id);
    let form = CreateCardRequest {
        title: "Wardrobe".into(),
        ..one_call()
    };
    let refused = world.new_card(&tenant, form).await.unwrap_err();
    assert_eq!(field(&refused), "fields[city]");
    // Without a chat nothing says which of two is meant.
    let nowhere = CreateCardRequest {
        responsible_agent_id: ANNA.to_string(),
        ..CreateCardRequest::default()
    };
    assert_eq!(
        field(&world.new_card(&tenant, nowhere).await.unwrap_err()),
        "pipeline_id"
    );
}

#[tokio::test]
async fn f140_a_card_from_a_chat_carries_what_the_form_says() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let opening = tenant.opening(CHAT, 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let contact = world.contacts(&tenant).await.remove(0);
    let form = CreateCardRequest {
        chat_id: opening.chat(),
        title: "Wardrobe".into(),
        amount: Some(money("EUR", "99.9")),
        responsible_agent_id: ANNA.to_string(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, form.clone()).await.unwrap();
    assert_eq!(
        (&*card.title, card.amount.clone()),
        ("Wardrobe", Some(money("EUR", "99.90")))
    );
    assert_eq!(
        (&card.contact_id, card.status.as_ref()),
        (&contact.contact_id, Some(&pipeline.statuses[0]))
    );
    assert_eq!(
        world.connections(&tenant, &opening.chat()).await.cards,
        [card]
    );
    let both = CreateCardRequest {
        contact_id: contact.contact_id.clone(),
        ..form
    };
    assert_eq!(
        field(&world.new_card(&tenant, both).await.unwrap_err()),
        "contact_id"
    );
    // Without a chat the contact can be named.
    let by_contact = CreateCardRequest {
        contact_id: contact.contact_id.clone(),
        ..CreateCardRequest::default()
    };
    let card = world.new_card(&tenant, by_contact).await.unwrap();
    assert_eq!(
        (&*card.title, &card.contact_id),
        ("Client 1", &contact.contact_id)
    );
    let unknown = CreateCardRequest {
        contact_id: Uuid::from_u128(404).to_string(),
        ..CreateCardRequest::default()
    };
    assert_eq!(
        field(&world.new_card(&tenant, unknown).await.unwrap_err()),
        "contact_id"
    );
}
