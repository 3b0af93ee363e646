//! Boards, and the counts and sums that are kept for them.

use std::collections::BTreeMap;

use chassis::access::{KindAccess, View};
use chassis::testing;
use crm_cards::store::counts;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Tenant, World, field, reason, tenant, world};

const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);

async fn board(world: &World, tenant: &Tenant, pipeline: &Pipeline, size: i32) -> GetBoardResponse {
    let request = GetBoardRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
        column_size: size,
    };
    world
        .api
        .get_board(tenant.ask(request))
        .await
        .unwrap()
        .into_inner()
}

fn own(tenant: &Tenant, agent: Uuid) -> Tenant {
    let mut record = testing::full_access(agent.into());
    record.leads = KindAccess {
        create: true,
        view: View::Own,
    };
    tenant.agent(record)
}

fn money(currency: &str, amount: &str) -> Money {
    Money {
        currency: currency.into(),
        amount: amount.into(),
    }
}

async fn card(world: &World, tenant: &Tenant, amount: Option<Money>, agent: Option<Uuid>) -> Card {
    let request = CreateCardRequest {
        title: "x".into(),
        amount,
        responsible_agent_id: agent.map(|agent| agent.to_string()).unwrap_or_default(),
        ..CreateCardRequest::default()
    };
    world.new_card(tenant, request).await.unwrap()
}

#[tokio::test]
async fn a_board_has_a_column_a_status_with_counts_sums_and_its_newest_cards() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let mut ids = Vec::new();
    for (amount, agent) in [
        (Some(money("UAH", "0.1")), Some(ANNA)),
        (Some(money("UAH", "0.2")), Some(BOB)),
        (Some(money("EUR", "10")), Some(ANNA)),
        (None, None),
    ] {
        ids.push(card(&world, &tenant, amount, agent).await.card_id);
    }
    world
        .move_to(&tenant, &ids[2], &pipeline.statuses[2])
        .await
        .unwrap();
    let all = board(&world, &tenant, &pipeline, 2).await;
    assert_eq!(all.pipeline.as_ref(), Some(&pipeline));
    let statuses: Vec<_> = all
        .columns
        .iter()
        .filter_map(|column| column.status.clone())
        .collect();
    assert_eq!(statuses, pipeline.statuses);
    let counts: Vec<i64> = all.columns.iter().map(|column| column.card_count).collect();
    assert_eq!(counts, [3, 0, 1, 0]);
    // Exact, where binary fractions would say 0.30000000000000004.
    assert_eq!(all.columns[0].sums, [money("UAH", "0.30")]);
    assert_eq!(all.columns[2].sums, [money("EUR", "10.00")]);
    assert!(all.columns[1].sums.is_empty() && all.columns[1].cards.is_empty());
    let shown = |column: &BoardColumn| -> Vec<String> {
        column
            .cards
            .iter()
            .map(|card| card.card_id.clone())
            .collect()
    };
    assert_eq!(shown(&all.columns[0]), [ids[3].clone(), ids[1].clone()]);
    assert_eq!(all.columns[2].next_page_token, "");
    // The list goes on where the column ends.
    let rest = ListCardsRequest {
        page_token: all.columns[0].next_page_token.clone(),
        status_ids: vec![pipeline.statuses[0].status_id.clone()],
        ..ListCardsRequest::default()
    };
    let rest = world
        .api
        .list_cards(tenant.ask(rest))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        rest.cards
            .iter()
            .map(|card| &card.card_id)
            .collect::<Vec<_>>(),
        [&ids[0]]
    );

    // Who sees own cards sees the counts and sums of those (F177).
    let anna = board(&world, &own(&tenant, ANNA), &pipeline, 10).await;
    let counts: Vec<i64> = anna
        .columns
        .iter()
        .map(|column| column.card_count)
        .collect();
    assert_eq!(counts, [1, 0, 1, 0]);
    assert_eq!(anna.columns[0].sums, [money("UAH", "0.10")]);
    assert_eq!(shown(&anna.columns[0]), [ids[0].clone()]);
    let foreign = GetBoardRequest {
        pipeline_id: pipeline.pipeline_id.clone(),
        column_size: 0,
    };
    let stranger = crate::world::tenant();
    let refused = world
        .api
        .get_board(stranger.ask(foreign.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::NotFound, "PIPELINE_UNKNOWN".into())
    );
    let negative = GetBoardRequest {
        column_size: -1,
        ..foreign
    };
    let refused = world.api.get_board(tenant.ask(negative)).await.unwrap_err();
    assert_eq!(field(&refused), "column_size");
}

/// What is counted, by (status, currency), and what a scan says.
type Counted = BTreeMap<(Uuid, String), (i64, String)>;

async fn kept(world: &World, tenant: &Tenant, pipeline: &Pipeline, own: Option<Uuid>) -> Counted {
    let mut connection = world.database.pool.acquire().await.unwrap();
    let id = pipeline.pipeline_id.parse::<Uuid>().unwrap().into();
    let rows = counts::of_pipeline(&mut connection, &tenant.account, id, own)
        .await
        .unwrap();
    let row = |count: counts::Count| {
        let currency = count
            .sum
            .map(|sum| sum.currency.to_string())
            .unwrap_or_default();
        let amount = count.sum.map(|sum| sum.amount.normalize().to_string());
        (
            (count.status.uuid(), currency),
            (count.cards, amount.unwrap_or_else(|| "0".into())),
        )
    };
    rows.into_iter().map(row).collect()
}

async fn scanned(
    world: &World,
    tenant: &Tenant,
    pipeline: &Pipeline,
    own: Option<Uuid>,
) -> Counted {
    let rows: Vec<(Uuid, String, i64, String)> = sqlx::query_as(
        "select status, coalesce(currency, ''), count(*), trim_scale(coalesce(sum(amount), 0))::text from card
         where account = $1 and pipeline = $2 and deleted_at is null and ($3::uuid is null or responsible = $3)
         group by 1, 2",
    )
    .bind(tenant.account.as_str())
    .bind(pipeline.pipeline_id.parse::<Uuid>().unwrap())
    .bind(own)
    .fetch_all(&world.database.pool)
    .await
    .unwrap();
    let row = |(status, currency, cards, amount)| ((status, currency), (cards, amount));
    rows.into_iter().map(row).collect()
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_sums_equal_a_scan_after_any_changes() {
    let (world, tenant) = (world().await, tenant());
    let pipelines = [world.pipeline(&tenant).await, world.pipeline(&tenant).await];
    let amounts = [
        None,
        Some(money("UAH", "10.01")),
        Some(money("UAH", "0.33")),
        Some(money("JPY", "7")),
    ];
    let agents = [None, Some(ANNA), Some(BOB)];
    let mut dice = Dice(7);
    let mut cards: Vec<Card> = Vec::new();
    for round in 0..240 {
        let act = if cards.len() < 10 { 0 } else { dice.below(6) };
        match act {
            0 | 1 => {
                let request = CreateCardRequest {
                    title: "x".into(),
                    pipeline_id: dice.pick(&pipelines).pipeline_id.clone(),
                    amount: dice.pick(&amounts).clone(),
                    responsible_agent_id: dice
                        .pick(&agents)
                        .map(|id| id.to_string())
                        .unwrap_or_default(),
                    ..CreateCardRequest::default()
                };
                cards.push(world.new_card(&tenant, request).await.unwrap());
            }
            2 => {
                let request = UpdateCardRequest {
                    card_id: dice.pick(&cards).card_id.clone(),
                    amount: Some(dice.pick(&amounts).clone().unwrap_or_default()),
                    responsible_agent_id: Some(
                        dice.pick(&agents)
                            .map(|id| id.to_string())
                            .unwrap_or_default(),
                    ),
                    ..UpdateCardRequest::default()
                };
                world.update_card(&tenant, request).await.unwrap();
            }
            3 | 4 => {
                let pipeline = dice.pick(&pipelines);
                let request = MoveCardRequest {
                    card_id: dice.pick(&cards).card_id.clone(),
                    status_id: dice.pick(&pipeline.statuses).status_id.clone(),
                    pipeline_id: pipeline.pipeline_id.clone(),
                    expected_revision: None,
                };
                world.api.move_card(tenant.ask(request)).await.unwrap();
            }
            _ => {
                let gone = cards.swap_remove(dice.below(cards.len()));
                world.delete_card(&tenant, &gone.card_id).await.unwrap();
            }
        }
        if round % 40 == 39 {
            for pipeline in &pipelines {
                for own in agents {
                    let scanned = scanned(&world, &tenant, pipeline, own).await;
                    assert_eq!(
                        kept(&world, &tenant, pipeline, own).await,
                        scanned,
                        "round {round}"
                    );
                }
            }
            // Whether they are brought up to date or not.
            if round % 80 == 79 {
                assert!(counts::fold(&world.database.pool).await.unwrap() > 0);
            }
        }
    }
    // Removed for good, as by an erasure.
    let pool = &world.database.pool;
    for statement in [
        "delete from chat_card where account = $1",
        "delete from card where account = $1 and amount is not null",
    ] {
        sqlx::query(statement)
            .bind(tenant.account.as_str())
            .execute(pool)
            .await
            .unwrap();
    }
    counts::fold(pool).await.unwrap();
    for pipeline in &pipelines {
        assert_eq!(
            kept(&world, &tenant, pipeline, None).await,
            scanned(&world, &tenant, pipeline, None).await
        );
    }
}

/// Cards that change at once do not wait for each other's counts, nor does a count that is brought up to date meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_exact_while_cards_change_at_once() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let makes = (0..40).map(async |_| {
        let made = card(&world, &tenant, Some(money("UAH", "1")), Some(ANNA)).await;
        world
            .move_to(&tenant, &made.card_id, &pipeline.statuses[1])
            .await
            .unwrap();
    });
    let folds = async {
        for _ in 0..20 {
            counts::fold(&world.database.pool).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    futures::join!(futures::future::join_all(makes), folds);
    let all = board(&world, &tenant, &pipeline, 1).await;
    let counts: Vec<i64> = all.columns.iter().map(|column| column.card_count).collect();
    assert_eq!(counts, [0, 40, 0, 0]);
    assert_eq!(all.columns[1].sums, [money("UAH", "40.00")]);
    while counts::fold(&world.database.pool).await.unwrap() > 0 {}
    assert_eq!(
        board(&world, &tenant, &pipeline, 1).await.columns[1].card_count,
        40
    );
}
