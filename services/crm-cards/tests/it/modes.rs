//! All four modes, from the saved setting to the decision.

use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::{Mode, Scope};
use switchboard_proto::crm_cards::v1::*;
use time::Duration;
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);

struct Story {
    world: World,
    tenant: Tenant,
    pipeline: Pipeline,
    number: i64,
}

impl Story {
    async fn of(mode: Mode) -> Self {
        let (world, tenant) = (world().await, tenant());
        let pipeline = world.pipeline(&tenant).await;
        world.set_mode(&tenant, CHANNEL, mode).await;
        Self {
            world,
            tenant,
            pipeline,
            number: 0,
        }
    }

    /// Opens the next conversation and tells the rule that decided.
    async fn opens(&mut self, user: &str) -> String {
        let opening = self.next(user);
        self.decides(&opening).await
    }

    fn next(&mut self, user: &str) -> Opening {
        self.number += 1;
        self.tenant.opening(
            Chat {
                channel: CHANNEL,
                user,
            },
            self.number,
        )
    }

    async fn decides(&self, opening: &Opening) -> String {
        self.world.handle(&[opening.delivery()]).await.unwrap();
        self.world.rule(&self.tenant, opening).await
    }

    async fn closes_cards(&self, kind: StatusKind) {
        for card in self.world.cards(&self.tenant).await {
            self.world
                .move_card(&self.tenant, &self.pipeline, &card.card_id, kind)
                .await;
        }
    }

    async fn contact(&self) -> String {
        self.world.contacts(&self.tenant).await[0]
            .contact_id
            .clone()
    }

    async fn orders(&self) -> Order {
        let contact = self.contact().await;
        self.world.save_buyer(&self.tenant, &contact).await;
        self.world
            .create_order(&self.tenant, &contact)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn f006_mode_none_creates_no_card_and_says_so() {
    let mut story = Story::of(Mode::None).await;
    assert_eq!(story.opens("1").await, "CONNECTION_OFF");
    assert!(story.world.cards(&story.tenant).await.is_empty());
    let names = story.world.names(&story.tenant.account).await;
    assert_eq!(
        names,
        ["contact.created", "chat.linked", "connection.decided"]
    );
}

#[tokio::test]
async fn f007_f008_f010_mode_one_time_creates_one_card_in_the_life_of_a_chat() {
    let mut story = Story::of(Mode::OneTime).await;
    assert_eq!(story.opens("1").await, "FIRST_CARD_OF_CHAT");
    assert_eq!(story.opens("1").await, "CARD_EVER_LINKED");
    story.closes_cards(StatusKind::Successful).await;
    assert_eq!(story.opens("1").await, "CARD_EVER_LINKED");
    assert_eq!(story.world.cards(&story.tenant).await.len(), 1);
}

#[tokio::test]
async fn f010_an_order_in_work_blocks_where_there_is_no_card() {
    let mut story = Story::of(Mode::None).await;
    story.opens("1").await;
    let order = story.orders().await;
    for (mode, blocked, free) in [
        (Mode::OneTime, "ORDER_IN_WORK", "FIRST_CARD_OF_CHAT"),
        (Mode::Repeat, "ORDER_IN_WORK", "NOTHING_IN_WORK"),
    ] {
        let again = PipelineConnection {
            channel_id: CHANNEL.to_string(),
            mode: mode.into(),
            include_existing_chats: Some(true),
            ..PipelineConnection::default()
        };
        story.world.connect(&story.tenant, again).await.unwrap();
        story
            .world
            .move_order(&story.tenant, &order.order_id, StatusKind::InProgress)
            .await;
        assert_eq!(story.opens("1").await, blocked);
        story
            .world
            .move_order(&story.tenant, &order.order_id, StatusKind::Successful)
            .await;
        assert_eq!(story.opens("1").await, free);
        story.closes_cards(StatusKind::Rejected).await;
    }
}

#[tokio::test]
async fn f009_a_card_made_by_hand_counts_as_a_card_of_the_chat() {
    let mut story = Story::of(Mode::None).await;
    let first = story.next("1");
    story.decides(&first).await;
    let by_hand = CreateCardRequest {
        chat_id: first.chat(),
        ..CreateCardRequest::default()
    };
    let answer = story
        .world
        .api
        .create_card(story.tenant.ask(by_hand))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().card.unwrap().title, "Client 1");
    story
        .world
        .set_mode(&story.tenant, CHANNEL, Mode::OneTime)
        .await;
    assert_eq!(story.opens("1").await, "CARD_EVER_LINKED");
}

#[tokio::test]
async fn f011_f012_f014_f015_mode_repeat_creates_a_card_whenever_nothing_is_in_work() {
    let mut story = Story::of(Mode::Repeat).await;
    assert_eq!(story.opens("1").await, "NOTHING_IN_WORK");
    assert_eq!(story.opens("1").await, "CARD_IN_WORK");
    story.closes_cards(StatusKind::InProgress).await;
    assert_eq!(story.opens("1").await, "CARD_IN_WORK");
    story.closes_cards(StatusKind::Rejected).await;
    assert_eq!(story.opens("1").await, "NOTHING_IN_WORK");
    story.closes_cards(StatusKind::Successful).await;
    let order = story.orders().await;
    assert_eq!(story.opens("1").await, "ORDER_IN_WORK");
    story
        .world
        .move_order(&story.tenant, &order.order_id, StatusKind::Rejected)
        .await;
    assert_eq!(story.opens("1").await, "NOTHING_IN_WORK");
    assert_eq!(story.opens("2").await, "NOTHING_IN_WORK");
}

#[tokio::test]
async fn d02_scope_client_looks_at_cards_of_the_client_over_all_chats() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let channels = [Uuid::from_u128(1), Uuid::from_u128(2)];
    for (scope, user, expected) in [
        (Scope::Chat, "1", "NOTHING_IN_WORK"),
        (Scope::Client, "2", "CARD_IN_WORK"),
    ] {
        for channel in channels {
            let connection = PipelineConnection {
                channel_id: channel.to_string(),
                mode: Mode::Repeat.into(),
                scope: scope.into(),
                ..PipelineConnection::default()
            };
            world.connect(&tenant, connection).await.unwrap();
        }
        let [first, second] = channels.map(|channel| tenant.opening(Chat { channel, user }, 1));
        world.handle(&[first.delivery()]).await.unwrap();
        world.handle(&[second.delivery()]).await.unwrap();
        assert_eq!(world.rule(&tenant, &first).await, "NOTHING_IN_WORK");
        assert_eq!(world.rule(&tenant, &second).await, expected, "{scope:?}");
    }
}

#[tokio::test]
async fn f212_f213_mode_contact_without_cards_creates_one_for_a_contact_without_any() {
    let mut story = Story::of(Mode::ContactWithoutCards).await;
    // D03: older chats are included by default in this mode.
    let old = story
        .next("1")
        .created_at(time::OffsetDateTime::UNIX_EPOCH + Duration::DAY);
    let by_agent = story.next("1").by_agent();
    assert_eq!(story.decides(&by_agent).await, "OPENED_BY_AGENT");
    assert_eq!(story.decides(&old).await, "CONTACT_WITHOUT_CARDS");
    story.closes_cards(StatusKind::Rejected).await;
    assert_eq!(story.opens("1").await, "CONTACT_HAS_CARDS");
    story
        .world
        .set_mode(&story.tenant, CHANNEL, Mode::None)
        .await;
    story.opens("2").await;
    let contacts = story.world.contacts(&story.tenant).await;
    let other = contacts
        .iter()
        .find(|contact| contact.name == "Client 2")
        .unwrap();
    story
        .world
        .save_buyer(&story.tenant, &other.contact_id)
        .await;
    story
        .world
        .set_mode(&story.tenant, CHANNEL, Mode::ContactWithoutCards)
        .await;
    assert_eq!(story.opens("2").await, "CONTACT_IS_BUYER");
}

#[tokio::test]
async fn f021_f022_only_chats_created_after_the_mode_was_set_get_cards() {
    let mut story = Story::of(Mode::Repeat).await;
    let connection = |mode: Mode, include: Option<bool>| PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: mode.into(),
        include_existing_chats: include,
        ..PipelineConnection::default()
    };
    let saved = story
        .world
        .connect(&story.tenant, connection(Mode::Repeat, None))
        .await
        .unwrap();
    let activated = saved.activate_time.unwrap();
    // Other options keep the moment.
    let mut changed = connection(Mode::Repeat, None);
    changed.scope = Scope::Client.into();
    let saved = story.world.connect(&story.tenant, changed).await.unwrap();
    assert_eq!(saved.activate_time.unwrap(), activated);

    let moment = time::OffsetDateTime::from_unix_timestamp(activated.seconds).unwrap()
        + Duration::nanoseconds(activated.nanos.into());
    let older = story.next("1").created_at(moment - Duration::MICROSECOND);
    assert_eq!(story.decides(&older).await, "CHAT_OLDER_THAN_RULE");
    let newer = story.next("2").created_at(moment);
    assert_eq!(story.decides(&newer).await, "NOTHING_IN_WORK");
    assert_eq!(story.world.cards(&story.tenant).await.len(), 1);
    story
        .world
        .connect(&story.tenant, connection(Mode::Repeat, Some(true)))
        .await
        .unwrap();
    let older = story.next("3").created_at(moment - Duration::DAY);
    assert_eq!(story.decides(&older).await, "NOTHING_IN_WORK");

    // Another mode begins anew.
    let saved = story
        .world
        .connect(&story.tenant, connection(Mode::OneTime, None))
        .await
        .unwrap();
    assert!(
        saved.activate_time.unwrap().nanos != activated.nanos
            || saved.activate_time.unwrap().seconds > activated.seconds
    );
    let known = story.next("2").created_at(moment);
    assert_eq!(story.decides(&known).await, "CHAT_OLDER_THAN_RULE");
}

#[tokio::test]
async fn f002_f018_f019_a_connection_without_a_pipeline_is_refused_by_its_field() {
    let (world, tenant) = (world().await, tenant());
    let wanted = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::OneTime.into(),
        ..PipelineConnection::default()
    };
    let field = |status: tonic::Status| {
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.get_details_error_info().is_some());
        status.get_details_bad_request().unwrap().field_violations[0]
            .field
            .clone()
    };
    let refused = world.connect(&tenant, wanted.clone()).await.unwrap_err();
    assert_eq!(field(refused), "connection.pipeline_id");
    let only = world.pipeline(&tenant).await;
    let saved = world.connect(&tenant, wanted.clone()).await.unwrap();
    assert_eq!(saved.pipeline_id, only.pipeline_id);
    let second = world.pipeline(&tenant).await;
    let refused = world.connect(&tenant, wanted.clone()).await.unwrap_err();
    assert_eq!(field(refused), "connection.pipeline_id");
    let chosen = PipelineConnection {
        pipeline_id: second.pipeline_id.clone(),
        ..wanted.clone()
    };
    assert_eq!(
        world.connect(&tenant, chosen).await.unwrap().pipeline_id,
        second.pipeline_id
    );
    let no_mode = PipelineConnection { mode: 0, ..wanted };
    assert_eq!(
        field(world.connect(&tenant, no_mode).await.unwrap_err()),
        "connection.mode"
    );
}

#[tokio::test]
async fn f024_the_channels_source_is_carried_by_the_card() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let source = CreateSourceRequest {
        name: "Telegram".into(),
        ..CreateSourceRequest::default()
    };
    let source = world
        .api
        .create_source(tenant.ask(source))
        .await
        .unwrap()
        .into_inner()
        .source
        .unwrap();
    let connection = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::Repeat.into(),
        source_id: source.source_id.clone(),
        ..PipelineConnection::default()
    };
    world.connect(&tenant, connection).await.unwrap();
    let opening = tenant.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        1,
    );
    world.handle(&[opening.delivery()]).await.unwrap();
    assert_eq!(world.cards(&tenant).await[0].source_id, source.source_id);
}

#[tokio::test]
async fn d30_f122_the_payload_of_the_clients_link_is_the_cards_source_detail() {
    let mut story = Story::of(Mode::Repeat).await;
    for (user, payload) in [("7", "ad_autumn"), ("8", "")] {
        let mut opening = story.next(user);
        opening.event.start_payload = payload.into();
        story.decides(&opening).await;
        let cards = story.world.cards(&story.tenant).await;
        let card = cards.iter().find(|card| card.chat_id == opening.chat());
        assert_eq!(card.unwrap().source_detail, payload);
    }
}
