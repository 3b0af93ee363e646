//! The gRPC API of channels' rules.

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::page_of;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::channel_rule_service_server::ChannelRuleService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::PARSE;
use crate::app::channel_rules;
use crate::domain::channel_rule::{CONTINUE_MAX, ChannelRule, LIMIT_MAX, Limits, REPLY_MAX};
use crate::wire;

/// Serves the rules of channels.
pub struct Api(pub PgPool);

/// Where a page of rules ended.
#[derive(Serialize, Deserialize)]
struct After {
    channel: Uuid,
}

/// Reads a number between 0 and the greatest.
fn within(field: &str, number: i32, max: i32) -> Result<i32, Status> {
    if (0..=max).contains(&number) {
        return Ok(number);
    }
    Err(PARSE.refuse(field, &format!("must lie between 0 and {max}")))
}

fn said(field: &str, text: &str) -> Result<String, Status> {
    let text = PARSE.text_opt(field, text, REPLY_MAX)?;
    Ok(text.unwrap_or_default().to_owned())
}

fn rule(given: Option<pb::ChannelRule>) -> Result<ChannelRule, Status> {
    let given = given.ok_or_else(|| PARSE.refuse("rule", "is required"))?;
    let limit = |field: &str, seconds| within(&format!("rule.{field}"), seconds, LIMIT_MAX);
    Ok(ChannelRule {
        continue_minutes: within(
            "rule.continue_minutes",
            given.continue_minutes,
            CONTINUE_MAX,
        )?,
        limits: Limits {
            first: limit("first_response_seconds", given.first_response_seconds)?,
            next: limit("next_response_seconds", given.next_response_seconds)?,
        },
        greeting: said("rule.greeting", &given.greeting)?,
        off_hours_reply: said("rule.off_hours_reply", &given.off_hours_reply)?,
        nps_bot: PARSE.id_opt("rule.nps_bot_id", &given.nps_bot_id)?,
        ..ChannelRule::empty(PARSE.id("rule.channel_id", &given.channel_id)?)
    })
}

#[tonic::async_trait]
impl ChannelRuleService for Api {
    async fn set_channel_rule(
        &self,
        request: Request<pb::SetChannelRuleRequest>,
    ) -> Result<Response<pb::SetChannelRuleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = rule(request.rule)?;
        let expected = request.expected_revision;
        if expected.is_some_and(|revision| revision < 0) {
            let rule = "must not be negative; 0 is none";
            return Err(PARSE.refuse("expected_revision", rule));
        }
        let set = channel_rules::set(&self.0, &caller, wanted, expected, clock::now()).await?;
        Ok(Response::new(pb::SetChannelRuleResponse {
            rule: Some(wire::channel_rule(&set)),
        }))
    }

    async fn get_channel_rule(
        &self,
        request: Request<pb::GetChannelRuleRequest>,
    ) -> Result<Response<pb::GetChannelRuleResponse>, Status> {
        let caller = Caller::of(&request)?;
        let channel = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let rule = channel_rules::get(&self.0, &caller, channel).await?;
        Ok(Response::new(pb::GetChannelRuleResponse {
            rule: Some(wire::channel_rule(&rule)),
        }))
    }

    async fn list_channel_rules(
        &self,
        request: Request<pb::ListChannelRulesRequest>,
    ) -> Result<Response<pb::ListChannelRulesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<After> = PARSE.page_token(&request.page_token)?;
        let after = after.map_or(Uuid::nil(), |after| after.channel);
        let rows = channel_rules::list(&self.0, &caller, after, i64::from(size) + 1).await?;
        let (rules, next_page_token) = page_of(&rows, size, wire::channel_rule, |rule| After {
            channel: rule.channel.uuid(),
        });
        Ok(Response::new(pb::ListChannelRulesResponse {
            rules,
            next_page_token,
        }))
    }
}
