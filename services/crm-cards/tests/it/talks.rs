//! Cards by whether what clients wrote was read (F208).

use chassis::access::ChannelGrant;
use chassis::consumer::Delivery;
use chassis::testing;
use switchboard_proto::conversation::v1::ConversationRead;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::list_cards_request::TalkState;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, deliver, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

async fn titles(world: &World, tenant: &Tenant, talks: TalkState) -> Vec<String> {
    let request = ListCardsRequest {
        talks: talks.into(),
        ..Default::default()
    };
    let answer = world.api.list_cards(tenant.ask(request)).await.unwrap();
    let cards = answer.into_inner().cards.into_iter();
    let mut titles: Vec<String> = cards.map(|card| card.title).collect();
    titles.sort();
    titles
}

fn read(opening: &Opening, unread: bool, version: i64) -> Delivery {
    let event = ConversationRead {
        conversation_id: opening.event.conversation_id.clone(),
        chat_id: opening.chat(),
        channel_id: opening.event.channel_id.clone(),
        number: opening.event.number,
        unread,
        version,
    };
    deliver(&opening.account, &opening.chat(), &event)
}

/// Cards "Client a" and "Client b" in two channels, both unread, and one without a chat.
async fn filled() -> (World, Tenant, [Opening; 2]) {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let openings = [(CHANNEL, "a"), (OTHER, "b")].map(|(channel, user)| Chat { channel, user });
    for chat in &openings {
        world.set_mode(&tenant, chat.channel, Mode::Repeat).await;
    }
    let openings = openings.map(|chat| tenant.opening(chat, 1));
    let events: Vec<_> = openings.iter().map(Opening::delivery).collect();
    world.handle(&events).await.unwrap();
    let table = CreateCardRequest {
        title: "Oak table".into(),
        pipeline_id: pipeline.pipeline_id,
        ..Default::default()
    };
    world.new_card(&tenant, table).await.unwrap();
    (world, tenant, openings)
}

#[tokio::test]
async fn f208_cards_are_found_by_whether_their_talks_were_read() {
    let (world, tenant, [a, b]) = filled().await;
    let listed = async |talks| titles(&world, &tenant, talks).await;
    assert_eq!(listed(TalkState::Unspecified).await.len(), 3);
    assert_eq!(listed(TalkState::Unread).await, ["Client a", "Client b"]);
    assert!(listed(TalkState::Read).await.is_empty());

    world.handle(&[read(&a, false, 1)]).await.unwrap();
    assert_eq!(listed(TalkState::Unread).await, ["Client b"]);
    assert_eq!(listed(TalkState::Read).await, ["Client a"]);

    // The newest word counts, whichever comes last, and a repeated opening says nothing new.
    let late = [read(&a, true, 4), read(&a, false, 3), read(&b, false, 1)];
    world.handle(&late).await.unwrap();
    world
        .handle(&[read(&a, false, 2), b.delivery()])
        .await
        .unwrap();
    assert_eq!(listed(TalkState::Unread).await, ["Client a"]);
    assert_eq!(listed(TalkState::Read).await, ["Client b"]);

    // The next conversation begins unread.
    let chat = Chat {
        channel: OTHER,
        user: "b",
    };
    let again = tenant.opening(chat, 2);
    world.handle(&[read(&again, false, 2)]).await.unwrap();
    world.handle(&[again.delivery()]).await.unwrap();
    assert_eq!(
        listed(TalkState::Unread).await,
        ["Client a"],
        "read before it was decided"
    );
}

#[tokio::test]
async fn f208_among_many_unread_chats_the_same_is_found() {
    let (world, tenant, [a, _]) = filled().await;
    world.handle(&[read(&a, false, 1)]).await.unwrap();
    sqlx::query(
        "insert into talk select $1, gen_random_uuid(), gen_random_uuid(), 1, 1, true from generate_series(1, 1100)",
    )
    .bind(tenant.account.as_str())
    .execute(&world.app.pool)
    .await
    .unwrap();
    assert_eq!(
        titles(&world, &tenant, TalkState::Unread).await,
        ["Client b"]
    );
    assert_eq!(titles(&world, &tenant, TalkState::Read).await, ["Client a"]);
}

#[tokio::test]
async fn f208_what_stands_in_channels_of_others_does_not_count() {
    let (world, tenant, _) = filled().await;
    let agent = Uuid::from_u128(100).into();
    let mut record = testing::full_access(agent);
    record.channels = ChannelGrant::Some([CHANNEL].into());
    let narrowed = tenant.agent(record.clone());
    assert_eq!(
        titles(&world, &narrowed, TalkState::Unread).await,
        ["Client a"]
    );
    record.chats = chassis::access::ChatAccess::None;
    let without = tenant.agent(record);
    let request = ListCardsRequest {
        talks: TalkState::Unread.into(),
        ..Default::default()
    };
    let refused = world
        .api
        .list_cards(without.ask(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
