//! The gRPC API of bots.

use std::sync::Arc;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{page_of, page_token};
use chassis::outbox::Waker;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_service_server::BotService;
use switchboard_proto::conversation::v1::get_nps_totals_request::Period;
use time::{Duration, OffsetDateTime};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{PARSE, hash, moment};
use crate::app::act::Repeat;
use crate::app::bots::named::Things;
use crate::app::bots::{self, Wanted, nps};
use crate::app::send::Admission;
use crate::domain::bot::Trigger;
use crate::store::bots::nps::Counted;
use crate::store::bots::runs::Listed;
use crate::wire;

/// Characters of a bot's name at most.
const NAME_MAX: usize = 100;

/// Channels of a bot at most.
const CHANNELS_MAX: usize = 100;

/// How long a time totals are asked for at most.
const COUNTED_MAX: Duration = Duration::days(2 * 366);

/// After every run: where the first page begins.
const END: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59.999999 UTC);

/// Serves bots.
pub struct Api {
    /// The database.
    pub pool: PgPool,
    /// Wakes the relay.
    pub waker: Waker,
    /// Assignment: who may write.
    pub admission: Arc<dyn Admission>,
    /// Other services: what bots name.
    pub things: Arc<dyn Things>,
}

/// Where a page of bots ended.
#[derive(Serialize, Deserialize)]
struct After {
    bot: Uuid,
}

fn wanted(bot: Option<pb::Bot>) -> Result<(Wanted, String), Status> {
    let bot = bot.ok_or_else(|| PARSE.refuse("bot", "is required"))?;
    let trigger = match pb::bot::Trigger::try_from(bot.trigger) {
        Ok(pb::bot::Trigger::Unspecified) => None,
        Ok(pb::bot::Trigger::ConversationOpened) => Some(Trigger::ConversationOpened),
        Ok(pb::bot::Trigger::ResponseTimeExceeded) => Some(Trigger::ResponseTimeExceeded),
        Err(_) => return Err(PARSE.refuse("bot.trigger", "names what there is not")),
    };
    if bot.nps && trigger.is_some() {
        let rule = "must not be set for a bot of NPS, which is sent";
        return Err(PARSE.refuse("bot.trigger", rule));
    }
    let wanted = Wanted {
        name: PARSE.text("bot.name", &bot.name, NAME_MAX)?.to_owned(),
        steps: bot.steps,
        trigger,
        channels: PARSE.ids("bot.channel_ids", &bot.channel_ids, CHANNELS_MAX)?,
        enabled: bot.enabled,
        nps: bot.nps,
    };
    Ok((wanted, bot.bot_id))
}

#[tonic::async_trait]
impl BotService for Api {
    async fn create_bot(
        &self,
        request: Request<pb::CreateBotRequest>,
    ) -> Result<Response<pb::CreateBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let repeat = Repeat {
            request_id: PARSE.request_id(&request.request_id)?.map(str::to_owned),
            hash: hash(&caller, &request),
        };
        let (wanted, _) = wanted(request.bot)?;
        let made = bots::create(
            &self.pool,
            &*self.things,
            &caller,
            (wanted, repeat),
            clock::now(),
        )
        .await?;
        Ok(Response::new(made))
    }

    async fn update_bot(
        &self,
        request: Request<pb::UpdateBotRequest>,
    ) -> Result<Response<pb::UpdateBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (wanted, id) = wanted(request.bot)?;
        let bot = (PARSE.id("bot.bot_id", &id)?, wanted);
        let expected = request.expected_revision;
        let (pool, things) = (&self.pool, &*self.things);
        let changed = bots::update(pool, things, &caller, bot, expected, clock::now()).await?;
        Ok(Response::new(pb::UpdateBotResponse {
            bot: Some(wire::bot(&changed)),
        }))
    }

    async fn delete_bot(
        &self,
        request: Request<pb::DeleteBotRequest>,
    ) -> Result<Response<pb::DeleteBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let bot = PARSE.id("bot_id", &request.get_ref().bot_id)?;
        bots::delete(&self.pool, &caller, bot, clock::now()).await?;
        Ok(Response::new(pb::DeleteBotResponse {}))
    }

    async fn get_bot(
        &self,
        request: Request<pb::GetBotRequest>,
    ) -> Result<Response<pb::GetBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let bot = PARSE.id("bot_id", &request.get_ref().bot_id)?;
        let bot = bots::get(&self.pool, &caller, bot).await?;
        Ok(Response::new(pb::GetBotResponse {
            bot: Some(wire::bot(&bot)),
        }))
    }

    async fn list_bots(
        &self,
        request: Request<pb::ListBotsRequest>,
    ) -> Result<Response<pb::ListBotsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<After> = PARSE.page_token(&request.page_token)?;
        let after = after.map_or(Uuid::nil(), |after| after.bot);
        let rows = bots::list(&self.pool, &caller, after, i64::from(size) + 1).await?;
        let place = |bot: &crate::store::bots::Bot| After { bot: bot.id.uuid() };
        let (bots, next_page_token) = page_of(&rows, size, wire::bot, place);
        Ok(Response::new(pb::ListBotsResponse {
            bots,
            next_page_token,
        }))
    }

    async fn start_bot(
        &self,
        request: Request<pb::StartBotRequest>,
    ) -> Result<Response<pb::StartBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let chat = PARSE.id("chat_id", &request.chat_id)?;
        let bot = PARSE.id("bot_id", &request.bot_id)?;
        let (pool, waker, admission) = (&self.pool, &self.waker, &*self.admission);
        let of = (chat, bot, PARSE.request_id(&request.request_id)?);
        let run = bots::start(pool, waker, admission, &caller, of, clock::now()).await?;
        Ok(Response::new(pb::StartBotResponse {
            run: Some(wire::bot_run(&run)),
        }))
    }

    async fn stop_bot(
        &self,
        request: Request<pb::StopBotRequest>,
    ) -> Result<Response<pb::StopBotResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let run = bots::stop(&self.pool, &self.waker, &caller, chat, clock::now()).await?;
        Ok(Response::new(pb::StopBotResponse {
            run: run.as_ref().map(wire::bot_run),
        }))
    }

    async fn send_nps(
        &self,
        request: Request<pb::SendNpsRequest>,
    ) -> Result<Response<pb::SendNpsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let chat = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let (pool, waker, admission) = (&self.pool, &self.waker, &*self.admission);
        let run = bots::send_nps(pool, waker, admission, &caller, chat, clock::now()).await?;
        Ok(Response::new(pb::SendNpsResponse {
            run: Some(wire::bot_run(&run)),
        }))
    }

    async fn list_bot_runs(
        &self,
        request: Request<pb::ListBotRunsRequest>,
    ) -> Result<Response<pb::ListBotRunsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let listed = Listed {
            chat: PARSE.id_opt("chat_id", &request.chat_id)?,
            entity: PARSE.id_opt("entity_id", &request.entity_id)?,
            granted: None,
            running: request.running_only,
        };
        if listed.chat.is_some() == listed.entity.is_some() {
            return Err(PARSE.refuse("chat_id", "or `entity_id` must be given, and one alone"));
        }
        let size = PARSE.page_size(request.page_size)?;
        let before = match PARSE.page_token::<(i128, Uuid)>(&request.page_token)? {
            Some((nanos, run)) => (moment(nanos)?, run),
            None => (END, Uuid::max()),
        };
        let (runs, next) = bots::runs_of(&self.pool, &caller, listed, before, size).await?;
        let token = next.map(|(time, run)| page_token(&(time.unix_timestamp_nanos(), run)));
        Ok(Response::new(pb::ListBotRunsResponse {
            runs: runs.iter().map(wire::bot_run).collect(),
            next_page_token: token.unwrap_or_default(),
        }))
    }

    async fn get_nps_totals(
        &self,
        request: Request<pb::GetNpsTotalsRequest>,
    ) -> Result<Response<pb::GetNpsTotalsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let from = PARSE.time("from_time", request.from_time.as_ref())?;
        let to = PARSE.time("to_time", request.to_time.as_ref())?;
        if to <= from || to - from > COUNTED_MAX {
            let rule = "must be later than `from_time`, by two years at most";
            return Err(PARSE.refuse("to_time", rule));
        }
        let period = match Period::try_from(request.period) {
            Ok(Period::Unspecified) => "",
            Ok(Period::Day) => "day",
            Ok(Period::Week) => "week",
            Ok(Period::Month) => "month",
            Err(_) => return Err(PARSE.refuse("period", "names what there is not")),
        };
        let counted = Counted {
            granted: None,
            channel: PARSE.id_opt("channel_id", &request.channel_id)?,
            from,
            to,
            period,
        };
        let totals = nps::totals(&self.pool, &caller, counted).await?;
        Ok(Response::new(pb::GetNpsTotalsResponse {
            totals: totals.iter().map(wire::nps_total).collect(),
        }))
    }
}
