//! What a reply does to a chat's responsible, by channel (D09, D18).

use sqlx::PgConnection;

use super::policies::ChannelKey;

/// A channel's options for replies. A channel that has none set has neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplyRules {
    /// Writing into an unassigned chat needs a claim first (D18).
    pub claim_before_reply: bool,
    /// A participant becomes the responsible by writing (D09).
    pub reassign_on_reply: bool,
}

/// Sets a channel's options.
pub async fn set(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
    rules: ReplyRules,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into reply_rule (account, channel_id, claim_before_reply, reassign_on_reply)
         values ($1, $2, $3, $4)
         on conflict (account, channel_id) do update
         set claim_before_reply = excluded.claim_before_reply,
             reassign_on_reply = excluded.reassign_on_reply",
        account.as_str(),
        channel.uuid(),
        rules.claim_before_reply,
        rules.reassign_on_reply,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns a channel's options.
pub async fn get(
    connection: &mut PgConnection,
    (account, channel): &ChannelKey,
) -> Result<ReplyRules, sqlx::Error> {
    let rules = sqlx::query_as!(
        ReplyRules,
        "select claim_before_reply, reassign_on_reply from reply_rule
         where account = $1 and channel_id = $2",
        account.as_str(),
        channel.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(rules.unwrap_or_default())
}
