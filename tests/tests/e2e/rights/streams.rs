//! Presence streams over real connections: clients and replicas that die, and rights that end (B04, F175, F179).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard_proto::DomainEvent as _;
use switchboard_proto::assignment::v1::{self as pb, AgentPresenceChanged};
use switchboard_tests::events::read_all;
use switchboard_tests::replicas::Replica;
use switchboard_tests::rpc::{Answers, Rpc};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Plan, World, WorldOptions, eventually};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::people::{self, Person, person};

const KEEP: &str = "assignment.v1.PresenceService/KeepPresence";
const FOLLOW: &str = "assignment.v1.PresenceService/SetPresenceOptions";
const AGENT: &str = "assignment.v1.AssignmentService/GetAgent";
const UPDATE: &str = "assignment.v1.AssignmentService/UpdateAgent";

/// How long an agent stays online after the last stream.
const GRACE: Duration = Duration::from_secs(5);

async fn world() -> anyhow::Result<World> {
    let grace = (
        Some(Kind::Assignment),
        "SWITCHBOARD_AVAILABILITY__GRACE".into(),
        format!("{}s", GRACE.as_secs()),
    );
    World::start_with(WorldOptions {
        environment: vec![grace],
        ..WorldOptions::default()
    })
    .await
}

async fn account(world: &World) -> anyhow::Result<Account> {
    world
        .account(Plan {
            agents: 0,
            ..Plan::default()
        })
        .await
}

/// An agent whose presence follows streams.
async fn follower(
    world: &World,
    rpc: &Rpc,
    account: &Account,
    name: &str,
    grants: Value,
) -> anyhow::Result<Person> {
    let person = person(world, rpc, account, name, grants).await?;
    let options =
        json!({ "options": { "agent_id": person.id.to_string(), "follow_streams": true } });
    rpc.call(FOLLOW, &people::service(world, &account.slug)?, &options)
        .await?;
    Ok(person)
}

/// Opens a stream and reads that it makes the agent online.
async fn online(rpc: &Rpc, person: &Person) -> anyhow::Result<Answers> {
    let mut answers = rpc.open(KEEP, &person.bearer, &json!({})).await?;
    let first = answers.next().await?;
    anyhow::ensure!(
        first
            .as_ref()
            .is_some_and(|first| first["presence"] == "PRESENCE_ONLINE"),
        "{first:?}"
    );
    Ok(answers)
}

/// Waits until an agent is offline; returns how long that took.
async fn offline(rpc: &Rpc, person: &Person) -> anyhow::Result<Duration> {
    let began = Instant::now();
    eventually("the agent offline", async || {
        let agent = rpc.call(AGENT, &person.bearer, &json!({})).await?;
        Ok((agent["agent"]["presence"] == "PRESENCE_OFFLINE").then_some(()))
    })
    .await?;
    Ok(began.elapsed())
}

/// What a stream ends with.
async fn end_of(answers: &mut Answers) -> Result<(), Status> {
    while answers.next().await?.is_some() {}
    Ok(())
}

/// What was announced of an agent's presence, in its order.
async fn announced(world: &World, account: &Account, person: &Person) -> anyhow::Result<Vec<i32>> {
    let events = read_all(&world.nats.url(), Some(&account.slug)).await?;
    let name = format!(
        "{}.{}.{}",
        AgentPresenceChanged::SERVICE,
        AgentPresenceChanged::ENTITY,
        AgentPresenceChanged::EVENT
    );
    let changes = events.iter().filter(|event| event.name() == name);
    let changes =
        changes.filter_map(switchboard_tests::events::Event::decode::<AgentPresenceChanged>);
    Ok(changes
        .filter(|change| change.agent_id == person.id.to_string())
        .map(|change| change.presence)
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_client_that_dies_leaves_its_agent_offline_after_the_grace_time() -> anyhow::Result<()>
{
    let world = world().await?;
    let rpc = Rpc::of(&world)?;
    let account = account(&world).await?;
    let everything = people::Kind::Full.grants("");
    let olena = follower(&world, &rpc, &account, "Olena", everything).await?;
    // A client of its own process would have its own sockets; this one has its own runtime, which dies with them.
    let client = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let url = world.system.grpc_url(Kind::Assignment)?;
    let (opened, told) = tokio::sync::oneshot::channel();
    let (bearer, id) = (olena.bearer.clone(), olena.id);
    let person = Person { id, bearer };
    client.spawn(async move {
        let opening = async {
            let rpc = Rpc::alone(Kind::Assignment, &url)?;
            online(&rpc, &person).await
        };
        match opening.await {
            Ok(mut answers) => {
                let _ = opened.send(Ok(()));
                let _ = end_of(&mut answers).await;
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        }
    });
    told.await??;
    // Beyond the first lease it is renewed for as long as the client lives.
    let lease = GRACE + GRACE / 3;
    let until = Instant::now() + lease + Duration::from_secs(1);
    while Instant::now() < until {
        let agent = rpc.call(AGENT, &olena.bearer, &json!({})).await?;
        assert_eq!(agent["agent"]["presence"], "PRESENCE_ONLINE");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.shutdown_background();
    let took = offline(&rpc, &olena).await?;
    println!(
        "a dead client's agent went offline after {} ms",
        took.as_millis()
    );
    assert!(took + Duration::from_secs(1) > GRACE, "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b04_a_killed_replica_loses_its_streams_and_who_comes_back_to_another_was_never_away()
-> anyhow::Result<()> {
    let world = world().await?;
    let rpc = Rpc::of(&world)?;
    let account = account(&world).await?;
    let everything = people::Kind::Full.grants("");
    let olena = follower(&world, &rpc, &account, "Olena", everything.clone()).await?;
    let taras = follower(&world, &rpc, &account, "Taras", everything).await?;
    let mut replica = Replica::new(Kind::Assignment, 2)?;
    replica.launch(&world.system)?;
    replica.wait_ready().await?;
    let there = Rpc::of(&world)?.at(Kind::Assignment, &replica.grpc_url())?;
    let mut of_olena = online(&there, &olena).await?;
    let mut of_taras = online(&there, &taras).await?;
    replica.kill()?;
    for stream in [&mut of_olena, &mut of_taras] {
        let lost = end_of(stream).await.expect_err("the stream is cut");
        assert!(
            matches!(
                lost.code(),
                Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
            ),
            "{lost:?}"
        );
    }
    // Olena's client comes back to the other replica; that of Taras does not.
    let mut again = online(&rpc, &olena).await?;
    let took = offline(&rpc, &taras).await?;
    println!(
        "the agent of a killed replica went offline after {} ms",
        took.as_millis()
    );
    let still = again.next().await?.expect("a sign of life");
    assert_eq!(still["presence"], "PRESENCE_ONLINE");
    let [on, off] = [pb::Presence::Online, pb::Presence::Offline].map(i32::from);
    // The first is that they follow streams from now on.
    eventually("what is announced of Taras", async || {
        let told = announced(&world, &account, &taras).await?;
        Ok((told == [off, on, off]).then_some(()))
    })
    .await?;
    assert_eq!(
        announced(&world, &account, &olena).await?,
        [off, on],
        "never away"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f175_f179_x11_an_open_stream_ends_with_the_rights_it_stands_on() -> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let account = account(&world).await?;
    let service = people::service(&world, &account.slug)?;
    let role = json!({ "name": "Sales", "leads": { "create": true, "view": "VIEW_ALL" } });
    let role = rpc
        .call("assignment.v1.RoleService/CreateRole", &service, &role)
        .await?;
    let role = role["role"]["role_id"].clone();
    let olena = follower(
        &world,
        &rpc,
        &account,
        "Olena",
        json!({ "channels": { "all": true } }),
    )
    .await?;
    let taras = follower(
        &world,
        &rpc,
        &account,
        "Taras",
        people::Kind::Full.grants(""),
    )
    .await?;
    // Without rights there is no stream at all (F175).
    let refused = rpc
        .call(KEEP, &olena.bearer, &json!({}))
        .await
        .expect_err("no access to chats");
    assert_eq!(
        reason(&refused),
        (Code::PermissionDenied, "CHAT_ACCESS_MISSING".to_owned())
    );
    let id = olena.id.to_string();
    rpc.call(
        UPDATE,
        &service,
        &json!({ "agent_id": id, "role_id": role }),
    )
    .await?;
    let mut of_olena = online(&rpc, &olena).await?;
    let mut of_taras = online(&rpc, &taras).await?;
    let nothing = json!({ "create": false, "view": "VIEW_NONE" });
    let lose = json!({ "role_id": role, "leads": nothing });
    rpc.call("assignment.v1.RoleService/UpdateRole", &service, &lose)
        .await?;
    ended(
        &mut of_olena,
        "a role without rights",
        "CHAT_ACCESS_MISSING",
    )
    .await?;
    // Nobody else's stream ends.
    let off = json!({ "agent_id": taras.id.to_string(), "active": false });
    rpc.call(UPDATE, &service, &off).await?;
    ended(&mut of_taras, "an inactive agent", "AGENT_INACTIVE").await?;
    Ok(())
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    (
        status.code(),
        info.map(|info| info.reason).unwrap_or_default(),
    )
}

/// Waits until a stream is refused, which is within a second where the machine does nothing else, and shorter than a
/// lease takes to be renewed; tells how long it took.
async fn ended(answers: &mut Answers, what: &str, why: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    let end = tokio::time::timeout(Duration::from_secs(5), end_of(answers)).await?;
    let took = began.elapsed();
    let Err(refused) = end else {
        anyhow::bail!("{what}: the stream ended as if all were well");
    };
    assert_eq!(reason(&refused), (Code::PermissionDenied, why.to_owned()));
    println!("{what}: the stream ended after {} ms", took.as_millis());
    Ok(())
}
