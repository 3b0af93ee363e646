//! Events in any order, any number of times.

use chassis::consumer::Delivery;
use chassis::grpc::page_token;
use chassis::testing::request;
use chassis::trace::TraceContext;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;

use crate::world::{Talk, World, field, noon, reason};

fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for place in 0..items.len() {
        let mut rest = items.to_vec();
        let first = rest.remove(place);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn repeats_change_nothing() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna, boris], true).await;
    let talks: Vec<Talk> = (1..=6).map(|n| Talk::new(&world, n)).collect();
    let mut batch: Vec<Delivery> = Vec::new();
    for talk in &talks {
        batch.extend([talk.opened(), talk.decided()]);
    }
    batch.extend([
        talks[0].closed(2),
        talks[1].closed(2),
        talks[1].continued(3),
    ]);
    world.handle(&batch).await;
    let once = world.everything().await;
    for _ in 0..5 {
        world.handle(&batch).await;
        for delivery in &batch {
            world.handle(std::slice::from_ref(delivery)).await;
        }
    }
    assert_eq!(world.everything().await, once);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_ends_in_the_same_state() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    for (n, order) in permutations(&[0, 1, 2, 3]).into_iter().enumerate() {
        let talk = Talk::new(&world, 100 + i64::try_from(n).unwrap());
        let events = [
            talk.opened(),
            talk.decided(),
            talk.closed(2),
            talk.continued(3),
        ];
        for place in &order {
            world.handle(std::slice::from_ref(&events[*place])).await;
        }
        assert_eq!(world.responsible(&talk).await, Some(anna), "{order:?}");
        world.loads_are_true().await;
    }
    assert_eq!(world.load(anna).await, 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_before_opened_leaks_no_load() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.closed(2)]).await;
    world.handle(&[talk.decided()]).await;
    world.handle(&[talk.opened()]).await;
    assert_eq!(world.responsible(&talk).await, None);
    assert_eq!(world.load(anna).await, 0);
    assert_eq!(world.explain(&talk).await, []);
    // The next conversation is heard of before the one before is over: the highest number wins.
    let (second, third) = (talk.next(2), talk.next(3));
    world.handle(&[third.decided()]).await;
    world
        .handle(&[second.opened(), second.decided(), second.closed(2)])
        .await;
    assert_eq!(world.assignment(&talk).await.number, 3);
    assert_eq!(world.load(anna).await, 1);
    world.handle(&[third.closed(2), third.opened()]).await;
    assert_eq!(world.load(anna).await, 0);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_resets_the_chat_and_the_previous_responsible_gets_it_back_if_available() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[boris], true).await;
    let first = Talk::new(&world, 1);
    world.handle(&[first.opened()]).await;
    world.claim(anna, &first).await.unwrap();
    world.handle(&[first.decided()]).await;
    assert_eq!(
        world.responsible(&first).await,
        Some(anna),
        "a person was faster than the rules"
    );
    let second = first.next(2);
    world.handle(&[first.closed(2), second.opened()]).await;
    let reset = world.assignment(&second).await;
    assert_eq!((reset.agent_id.as_str(), reset.number), ("", 2));
    assert_eq!(reset.stamp.unwrap().time.unwrap().seconds, 0);
    world.handle(&[second.decided()]).await;
    let kept = world.assignment(&second).await;
    assert_eq!(kept.agent_id, anna.to_string());
    let stamp = kept.stamp.unwrap();
    assert_eq!(stamp.time, Some(chassis::grpc::timestamp(second.time)));
    assert_eq!(stamp.event_id, second.opened().envelope.id.to_string());
    // B05: away, she does not get it; the distribution does.
    world.presence(anna, pb::Presence::Away).await;
    let third = second.next(3);
    world
        .handle(&[second.closed(2), third.opened(), third.decided()])
        .await;
    assert_eq!(world.responsible(&third).await, Some(boris));
    let choice = world.explain(&third).await.remove(0);
    assert_eq!(choice.rule, i32::from(pb::AssignmentRule::Distribution));
    let seen: Vec<_> = choice
        .candidates
        .iter()
        .map(|c| (c.agent_id.clone(), c.left_out.clone()))
        .collect();
    let expected = [
        (anna.to_string(), "NOT_ONLINE".to_owned()),
        (boris.to_string(), String::new()),
    ];
    assert_eq!(seen, expected);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_waited_in_one_conversation_is_chosen_for_in_the_next() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 1, None).await;
    world.presence(anna, pb::Presence::Online).await;
    world.policy(&[anna], false).await;
    let (busy, talk) = (Talk::new(&world, 1), Talk::new(&world, 2));
    world.handle(&[busy.decided(), talk.decided()]).await;
    assert_eq!(world.responsible(&talk).await, None);
    // The next conversation's decision comes first of all, and she is free by then.
    let next = talk.next(3);
    world.handle(&[busy.closed(2), next.decided()]).await;
    assert_eq!(world.assignment(&next).await.number, 3);
    assert_eq!(world.responsible(&next).await, Some(anna));
    assert_eq!(world.load(anna).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_decisions_are_not_waited_for_and_confirm_when_they_come() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna, boris], false).await;
    let (talk, taken) = (Talk::new(&world, 1), Talk::new(&world, 2));
    world.handle(&[talk.opened(), taken.opened()]).await;
    let seconds = |n| noon() + time::Duration::seconds(n);
    assert_eq!(world.app.choose_overdue(seconds(15)).await.unwrap(), 0);
    let (one, two) = tokio::join!(
        world.app.choose_overdue(seconds(16)),
        world.app.choose_overdue(seconds(16))
    );
    assert_eq!(one.unwrap() + two.unwrap(), 2, "each on one replica only");
    let given = world.assignment(&talk).await;
    assert_eq!(given.agent_id, anna.to_string());
    assert_eq!(
        given.stamp.clone().unwrap().time.unwrap().seconds,
        0,
        "anything may replace it"
    );
    // A person takes one of them over; the other is confirmed by the decision, under the opening's stamp.
    let hand = pb::AssignChatRequest {
        chat_id: taken.chat.to_string(),
        agent_id: anna.to_string(),
        ..Default::default()
    };
    world
        .api
        .assign_chat(request(&world.admin(), hand))
        .await
        .unwrap();
    let by_hand = world.assignment(&taken).await;
    let before = world.events().await;
    world.handle(&[talk.decided(), taken.decided()]).await;
    assert_eq!(world.events().await, before + 1);
    assert_eq!(world.assignment(&taken).await, by_hand);
    let confirmed = world.assignment(&talk).await;
    assert_eq!(
        (&confirmed.agent_id, confirmed.version),
        (&given.agent_id, given.version + 1)
    );
    assert_eq!(
        confirmed.stamp.unwrap().time,
        Some(chassis::grpc::timestamp(talk.time))
    );
    world.handle(&[talk.decided(), taken.decided()]).await;
    assert_eq!(world.events().await, before + 1);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_new_chat_does_not_overtake_one_that_waits() {
    let world = World::new().await;
    let anna = world.agent_with("Anna", 1, None).await;
    world.presence(anna, pb::Presence::Online).await;
    world.policy(&[anna], false).await;
    let (busy, old, new) = (
        Talk::new(&world, 1),
        Talk::new(&world, 2),
        Talk::new(&world, 3),
    );
    world.handle(&[busy.decided(), old.decided()]).await;
    assert_eq!(world.responsible(&old).await, None);
    world.handle(&[busy.closed(2), new.decided()]).await;
    assert_eq!(world.responsible(&old).await, Some(anna));
    assert_eq!(world.responsible(&new).await, None);
    let choice = world.explain(&new).await.remove(0);
    assert_eq!(choice.candidates[0].left_out, "OTHERS_WAIT_LONGER");
    world.handle(&[old.closed(2)]).await;
    assert_eq!(world.responsible(&new).await, Some(anna), "in its turn");
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_choices_keep_the_cause_and_the_trace_of_their_opening() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let world = World::new().await;
    let anna = world.agent_with("Anna", 0, None).await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    let mut opened = talk.opened();
    opened.envelope.trace = TraceContext::parse(TRACE);
    world.handle(&[opened.clone(), talk.decided()]).await;
    world.presence(anna, pb::Presence::Online).await;
    assert_eq!(world.responsible(&talk).await, Some(anna));
    // The outbox holds its events encoded, texts as they are.
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("select events from chassis.outbox order by id")
        .fetch_all(&world.db.pool)
        .await
        .unwrap();
    let all = rows.concat();
    let holds = |text: &str| all.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(TRACE), "the trace");
    let cause = opened.envelope.id;
    let told = holds(&cause.to_string()) || all.windows(16).any(|part| part == cause.as_bytes());
    assert!(told, "the cause");
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_stored_answer_is_its_askers_and_forged_tokens_are_refused() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened()]).await;
    let claim = pb::ClaimChatRequest {
        request_id: "r1".into(),
        chat_id: talk.chat.to_string(),
    };
    let (by_anna, by_boris) = (world.as_agent(anna).await, world.as_agent(boris).await);
    let api = &world.api;
    let first = api
        .claim_chat(request(&by_anna, claim.clone()))
        .await
        .unwrap();
    let again = api
        .claim_chat(request(&by_anna, claim.clone()))
        .await
        .unwrap();
    assert_eq!(first.into_inner(), again.into_inner());
    let other = api.claim_chat(request(&by_boris, claim)).await.unwrap_err();
    assert_eq!(reason(&other).0, "REQUEST_ID_REUSED");

    let agents = pb::ListAgentsRequest {
        page_token: page_token(&serde_json::json!({"name": "\0", "id": uuid::Uuid::nil()})),
        ..Default::default()
    };
    let refused = api
        .list_agents(request(&world.admin(), agents))
        .await
        .unwrap_err();
    assert_eq!(field(&refused), "page_token");
}
