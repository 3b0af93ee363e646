//! Bots in chats (F187, F197-F199).

mod files;
mod held;
mod kept;
mod nps;
mod timing;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Waker;
use chassis::testing::request;
use conversation::app::bots::named::Things;
use conversation::app::bots::round::{self, Backlog, Calls};
use conversation::domain::{ChannelId, ChatId};
use conversation::grpc::bots::Api;
use serde_json::json;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1::{
    self as pb, bot_run::State, bot_service_server::BotService as _, message::Kind,
};
use time::{Duration, OffsetDateTime};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, at, plain, reason, text_of};

/// Other services, as bots ask them: says what is said here, and remembers what was asked.
#[derive(Default)]
struct Others {
    asked: Mutex<Vec<String>>,
    refusals: Mutex<Vec<Status>>,
    /// The field whose writing is not answered.
    hangs: &'static str,
    /// Up to when what clients wrote has been heard; none where all has.
    heard: Mutex<Option<OffsetDateTime>>,
}

#[tonic::async_trait]
impl Backlog for Others {
    async fn heard_until(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        Some(self.heard.lock().unwrap().unwrap_or(now))
    }
}

/// An account with one field, where these agents and channels are not, and who knows of them may be away.
#[derive(Default)]
struct Account {
    away: bool,
}

const NOBODY: Uuid = Uuid::from_u128(0xdead);

#[tonic::async_trait]
impl Things for Account {
    async fn no_agents(
        &self,
        _account: &AccountSlug,
        mut agents: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Status> {
        if self.away {
            return Err(Status::unavailable("assignment is away"));
        }
        agents.retain(|agent| *agent == NOBODY.to_string());
        Ok(agents)
    }

    async fn text_fields(&self, _account: &AccountSlug) -> Result<BTreeSet<String>, Status> {
        Ok(BTreeSet::from(["city".to_owned(), "size".to_owned()]))
    }

    async fn no_channels(
        &self,
        _account: &AccountSlug,
        mut channels: BTreeSet<ChannelId>,
    ) -> Result<BTreeSet<ChannelId>, Status> {
        channels.retain(|channel| channel.uuid() == NOBODY);
        Ok(channels)
    }

    async fn no_files(
        &self,
        _account: &AccountSlug,
        _agent: Option<AgentId>,
        mut files: BTreeSet<Uuid>,
    ) -> Result<BTreeSet<Uuid>, Status> {
        files.retain(|file| *file == NOBODY);
        Ok(files)
    }
}

#[tonic::async_trait]
impl Calls for Others {
    async fn assign(
        &self,
        _account: &AccountSlug,
        _chat: ChatId,
        agent: &str,
        request: &str,
    ) -> Result<(), Status> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("assign {agent} {request}"));
        self.refusals.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    async fn set_field(
        &self,
        _account: &AccountSlug,
        _chat: ChatId,
        field: &str,
        text: &str,
    ) -> Result<(), Status> {
        self.asked.lock().unwrap().push(format!("{field} = {text}"));
        if field == self.hangs {
            std::future::pending::<()>().await;
        }
        self.refusals.lock().unwrap().pop().map_or(Ok(()), Err)
    }
}

impl World {
    fn bots(&self) -> Api {
        Api {
            pool: self.db.pool.clone(),
            waker: Waker::new(),
            admission: Arc::new(self.assignment.clone()),
            things: Arc::new(Account::default()),
        }
    }

    async fn bot(&self, bot: pb::Bot) -> Result<pb::Bot, Status> {
        let ask = pb::CreateBotRequest {
            request_id: String::new(),
            bot: Some(bot),
        };
        let made = self
            .bots()
            .create_bot(request(&self.as_service(), ask))
            .await?;
        Ok(made.into_inner().bot.unwrap())
    }

    async fn start_bot(&self, key: &str, bot: &pb::Bot) -> Result<pb::BotRun, Status> {
        let ask = pb::StartBotRequest {
            chat_id: self.chat(key).to_string(),
            bot_id: bot.bot_id.clone(),
            ..Default::default()
        };
        let run = self
            .bots()
            .start_bot(request(&self.as_agent("ann"), ask))
            .await?;
        Ok(run.into_inner().run.unwrap())
    }

    async fn nps(&self, key: &str) -> Result<pb::BotRun, Status> {
        let ask = pb::SendNpsRequest {
            chat_id: self.chat(key).to_string(),
        };
        let run = self
            .bots()
            .send_nps(request(&self.as_agent("ann"), ask))
            .await?;
        Ok(run.into_inner().run.unwrap())
    }

    /// Lets bots go on until nothing is due.
    async fn go_on(&self, others: &Others, now: OffsetDateTime) {
        for _ in 0..10 {
            let (pool, waker) = (&self.db.pool, Waker::new());
            let now = now.max(chassis::clock::now());
            round::round(pool, &waker, others, now).await.unwrap();
            round::calls(pool, &waker, others, now).await.unwrap();
        }
    }

    async fn runs(&self, key: &str) -> Vec<pb::BotRun> {
        let ask = pb::ListBotRunsRequest {
            chat_id: self.chat(key).to_string(),
            ..Default::default()
        };
        let api = self.bots();
        let runs = api.list_bot_runs(request(&self.as_agent("ann"), ask));
        runs.await.unwrap().into_inner().runs
    }

    /// A message that the client writes so many seconds from now.
    fn says(&self, key: &str, number: &str, seconds: i64, text: &str) -> gateway::InboundEvent {
        self.message(key, number, now() + Duration::seconds(seconds), text)
    }

    /// What the bots said in a chat.
    async fn said(&self, key: &str) -> Vec<String> {
        let messages = self.history(key).await;
        let of_bots = messages
            .iter()
            .filter(|message| message.kind() == Kind::Bot);
        of_bots.map(text_of).collect()
    }

    async fn hello(&self, key: &str) {
        self.receive(&[self.message(key, "1", at(1), "hello")])
            .await;
    }
}

fn now() -> OffsetDateTime {
    chassis::clock::now()
}

fn step(key: &str, act: pb::bot_step::Act) -> pb::BotStep {
    pb::BotStep {
        key: key.into(),
        act: Some(act),
        ..Default::default()
    }
}

fn say(key: &str) -> pb::BotStep {
    let text = Some(plain(&format!("{key}, {{{{client.name}}}}")));
    let send = pb::bot_step::Send {
        text,
        attachment_ids: Vec::new(),
    };
    step(key, pb::bot_step::Act::Send(send))
}

fn ask(key: &str) -> pb::BotStep {
    let ask = pb::bot_step::Ask {
        text: Some(plain(key)),
        timeout_seconds: 3_600,
        ..Default::default()
    };
    step(key, pb::bot_step::Act::Ask(ask))
}

fn bot(steps: Vec<pb::BotStep>) -> pb::Bot {
    pb::Bot {
        name: "Asker".into(),
        steps,
        enabled: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn f187_f197_d08_a_bot_asks_waits_and_goes_on_with_the_answer() {
    let (world, others) = (World::new().await, Others::default());
    world.hello("7").await;
    let set = pb::bot_step::SetField {
        field: "city".into(),
        answer_of: "which".into(),
        text: String::new(),
    };
    let set = step("set", pb::bot_step::Act::SetField(set));
    let agent = Uuid::from_u128(5).to_string();
    let assign = pb::bot_step::Assign {
        agent_id: agent.clone(),
    };
    let assign = step("give", pb::bot_step::Act::Assign(assign));
    let bot = world
        .bot(bot(vec![
            say("Hello"),
            ask("which"),
            set,
            assign,
            say("Thanks"),
        ]))
        .await
        .unwrap();
    let run = world.start_bot("7", &bot).await.unwrap();
    let chat = world.get_chat(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!(
        (&chat.bot_run_id, &*chat.bot_name, &chat.bot_id),
        (&run.run_id, "Asker", &bot.bot_id)
    );
    let refused = world.start_bot("7", &bot).await.unwrap_err();
    assert_eq!(reason(&refused), "BOT_RUNS");

    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await, ["Hello, Ada", "which"]);
    assert_eq!(world.runs("7").await[0].state(), State::Waiting);
    // What the client answers is a message like any other: an agent may have to answer it (D08).
    world.receive(&[world.says("7", "2", 0, "Kyiv")]).await;
    world.go_on(&others, now()).await;
    let request_id = chassis::id::v5("bot-call", &[&run.run_id, "give", "1"]);
    assert_eq!(
        *others.asked.lock().unwrap(),
        [
            "city = Kyiv".to_owned(),
            format!("assign {agent} {request_id}")
        ]
    );
    assert_eq!(world.said("7").await.last().unwrap(), "Thanks, Ada");
    let run = world.runs("7").await.remove(0);
    assert_eq!(
        (run.state(), &run.answers["which"]),
        (State::Finished, &"Kyiv".to_owned())
    );
    let chat = world.get_chat(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!((&*chat.bot_run_id, chat.unanswered), ("", 2));
    let stopped = world.events_of::<pb::BotStopped>().await;
    assert_eq!(
        stopped.iter().map(|it| &*it.reason).collect::<Vec<_>>(),
        ["finished"]
    );
    // Each of its messages went out once, as a machine's.
    let commands = world.events_of::<pb::MessageQueued>().await;
    let numbers: Vec<i64> = commands
        .iter()
        .filter_map(|it| it.command.as_ref())
        .map(|it| it.out_seq)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(
        commands
            .iter()
            .all(|it| it.command.as_ref().unwrap().automatic)
    );
}

#[tokio::test]
async fn f198_a_bot_is_stopped_by_hand_by_an_answer_and_by_the_end() {
    let (world, others) = (World::new().await, Others::default());
    let bot = world.bot(bot(vec![ask("which")])).await.unwrap();
    for key in ["1", "2", "3"] {
        world.hello(key).await;
        world.start_bot(key, &bot).await.unwrap();
    }
    world.go_on(&others, now()).await;
    let stop = pb::StopBotRequest {
        chat_id: world.chat("1").to_string(),
    };
    for expected in [Some(State::Stopped), None] {
        let stopped = world
            .bots()
            .stop_bot(request(&world.as_agent("ann"), stop.clone()))
            .await;
        let run = stopped.unwrap().into_inner().run;
        assert_eq!(run.map(|run| run.state()), expected);
    }
    world
        .send(&world.as_agent("ann"), "2", "", "I am here")
        .await
        .unwrap();
    world.close(&world.as_agent("ann"), "3").await.unwrap();
    for (key, expected) in [
        ("1", State::Stopped),
        ("2", State::Answered),
        ("3", State::Closed),
    ] {
        let run = world.runs(key).await.remove(0);
        assert_eq!(run.state(), expected);
        assert!(run.end_time.is_some());
    }
    // Stopped ones say nothing more, however long it takes.
    world.receive(&[world.says("1", "2", 0, "hm?")]).await;
    world.go_on(&others, now() + Duration::days(2)).await;
    assert_eq!(world.said("1").await, ["which"]);
    assert_eq!(world.events_of::<pb::BotStopped>().await.len(), 3);
}

#[tokio::test]
async fn f187_two_replicas_move_a_run_once_and_a_restart_loses_nothing() {
    let (world, others) = (World::new().await, Others::default());
    let bot = world
        .bot(bot(vec![ask("which"), say("Thanks")]))
        .await
        .unwrap();
    world.hello("7").await;
    world.start_bot("7", &bot).await.unwrap();
    let (pool, waker) = (&world.db.pool, Waker::new());
    let moment = now();
    let moved = tokio::join!(
        round::round(pool, &waker, &others, moment),
        round::round(pool, &waker, &others, moment),
        round::round(pool, &waker, &others, moment),
    );
    moved.0.and(moved.1).and(moved.2).unwrap();
    assert_eq!(world.said("7").await, ["which"]);
    // Two words before it goes on are one answer.
    let words = [
        world.says("7", "2", 0, "the red"),
        world.says("7", "3", 0, "one"),
    ];
    world.receive(&words).await;
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await, ["which", "Thanks, Ada"]);
    assert_eq!(world.runs("7").await[0].answers["which"], "the red\none");
}

#[tokio::test]
async fn f187_a_call_that_fails_is_made_again_and_a_refusal_is_noted() {
    let (world, others) = (World::new().await, Others::default());
    let assign = pb::bot_step::Assign {
        agent_id: Uuid::from_u128(5).to_string(),
    };
    let assign = step("give", pb::bot_step::Act::Assign(assign));
    let bot = world.bot(bot(vec![assign, say("Thanks")])).await.unwrap();
    world.hello("7").await;
    world.start_bot("7", &bot).await.unwrap();
    others
        .refusals
        .lock()
        .unwrap()
        .push(Status::unavailable("away"));
    let first = now();
    world.go_on(&others, first).await;
    assert_eq!(others.asked.lock().unwrap().len(), 1, "not before its time");
    world.go_on(&others, first + Duration::MINUTE).await;
    assert_eq!(others.asked.lock().unwrap().len(), 2);
    assert_eq!(world.said("7").await, ["Thanks, Ada"]);

    world.start_bot("7", &bot).await.unwrap();
    others
        .refusals
        .lock()
        .unwrap()
        .push(Status::failed_precondition("the agent is inactive"));
    world.go_on(&others, now()).await;
    assert_eq!(world.runs("7").await[0].state(), State::Failed);
    let history = world.history("7").await;
    let note = history
        .iter()
        .rev()
        .find(|message| message.kind() == Kind::Note)
        .unwrap();
    assert_eq!(text_of(note), "Asker: the agent is inactive");
}

#[tokio::test]
async fn f199_bots_are_read_changed_and_deleted_and_begin_by_themselves() {
    let (world, others) = (World::new().await, Others::default());
    let mut made = bot(vec![say("Hello")]);
    made.trigger = pb::bot::Trigger::ConversationOpened.into();
    let made = world.bot(made).await.unwrap();
    world.hello("7").await;
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await, ["Hello, Ada"]);
    let run = world.runs("7").await.remove(0);
    assert_eq!(run.started_by, format!("rule:bot:{}", made.bot_id));

    // Another channel's are left alone, and so are all where it is switched off.
    let mut change = pb::Bot {
        channel_ids: vec![Uuid::from_u128(9).to_string()],
        ..made.clone()
    };
    let update = |bot: &pb::Bot, expected| pb::UpdateBotRequest {
        bot: Some(bot.clone()),
        expected_revision: expected,
    };
    let (api, service) = (world.bots(), world.as_service());
    api.update_bot(request(&service, update(&change, Some(1))))
        .await
        .unwrap();
    let overtaken = api
        .update_bot(request(&service, update(&change, Some(1))))
        .await;
    assert_eq!(overtaken.unwrap_err().code(), Code::Aborted);
    world.hello("8").await;
    change.channel_ids = Vec::new();
    change.enabled = false;
    api.update_bot(request(&service, update(&change, None)))
        .await
        .unwrap();
    world.hello("9").await;
    assert!(world.runs("8").await.is_empty() && world.runs("9").await.is_empty());
    let refused = world.start_bot("9", &made).await.unwrap_err();
    assert_eq!(reason(&refused), "BOT_DISABLED");
    let delete = pb::DeleteBotRequest {
        bot_id: made.bot_id.clone(),
    };
    api.delete_bot(request(&service, delete.clone()))
        .await
        .unwrap();
    let gone = api.delete_bot(request(&service, delete)).await.unwrap_err();
    assert_eq!(
        (gone.code(), &*reason(&gone)),
        (Code::NotFound, "BOT_NOT_FOUND")
    );
    let mut flawed = bot(vec![say("Hello")]);
    flawed.steps[0].next = "nowhere".into();
    assert_eq!(
        world.bot(flawed).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}
