//! Table `channel_problem`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Who finds a problem, and alone says that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Somebody who looked at the channel.
    Check,
    /// What providers answer to what is sent.
    Delivery,
    /// Credentials that were refused.
    Credentials,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Delivery => "delivery",
            Self::Credentials => "credentials",
        }
    }
}

/// A row of `channel_problem`.
#[derive(Debug, Clone)]
pub struct ProblemRow {
    /// The channel.
    pub channel_id: Uuid,
    /// Slug of its account.
    pub account: String,
    /// `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// What happened and what to do.
    pub detail: String,
    /// Since when.
    pub since: OffsetDateTime,
}

/// Returns the problems of channels, the oldest first.
pub async fn of(
    connection: &mut PgConnection,
    channels: &[Uuid],
) -> Result<Vec<ProblemRow>, sqlx::Error> {
    sqlx::query_as!(
        ProblemRow,
        "select channel_id, account, reason, detail, since from channel_problem
         where channel_id = any($1) order by channel_id, since, reason",
        channels,
    )
    .fetch_all(connection)
    .await
}

/// Returns reasons and words of a channel's problems that this source found.
pub async fn found_by(
    connection: &mut PgConnection,
    channel: Uuid,
    source: Source,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select reason, detail from channel_problem where channel_id = $1 and source = $2",
        channel,
        source.as_str(),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.reason, row.detail))
        .collect())
}

/// A problem to be stored.
#[derive(Debug, Clone)]
pub struct NewProblem {
    /// The channel.
    pub channel_id: Uuid,
    /// Slug of its account.
    pub account: String,
    /// `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// What happened and what to do.
    pub detail: String,
}

/// Stores problems, of which those that were known keep their beginning and get the new words; returns those that are
/// news.
pub async fn begin(
    connection: &mut PgConnection,
    source: Source,
    problems: &[NewProblem],
    now: OffsetDateTime,
) -> Result<Vec<ProblemRow>, sqlx::Error> {
    if problems.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = problems.iter().map(|problem| problem.channel_id).collect();
    let column = |of: fn(&NewProblem) -> &str| -> Vec<String> {
        problems.iter().map(|p| of(p).to_owned()).collect()
    };
    let rows = sqlx::query!(
        r#"insert into channel_problem as p (channel_id, account, source, reason, detail, since)
           select channel_id, account, $5::text, reason, detail, $6::timestamptz
           from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as n (channel_id, account, reason, detail)
           order by channel_id, reason
           on conflict (channel_id, reason) do update set detail = excluded.detail
           returning channel_id, account, reason, detail, since, (xmax = 0) as "fresh!""#,
        &ids,
        &column(|problem| &problem.account),
        &column(|problem| &problem.reason),
        &column(|problem| &problem.detail),
        source.as_str(),
        now,
    )
    .fetch_all(connection)
    .await?;
    let fresh = rows.into_iter().filter(|row| row.fresh);
    Ok(fresh
        .map(|row| ProblemRow {
            channel_id: row.channel_id,
            account: row.account,
            reason: row.reason,
            detail: row.detail,
            since: row.since,
        })
        .collect())
}

/// Ends problems of channels that this source found, all of them or those with these reasons; returns what ended.
pub async fn end(
    connection: &mut PgConnection,
    source: Source,
    channels: &[Uuid],
    reasons: Option<&[String]>,
) -> Result<Vec<ProblemRow>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        ProblemRow,
        "delete from channel_problem
         where channel_id = any($1) and source = $2 and ($3::text[] is null or reason = any($3))
         returning channel_id, account, reason, detail, since",
        channels,
        source.as_str(),
        reasons,
    )
    .fetch_all(connection)
    .await
}

/// Ends all problems of a channel, whoever found them.
pub async fn end_all(
    connection: &mut PgConnection,
    channel: Uuid,
) -> Result<Vec<ProblemRow>, sqlx::Error> {
    sqlx::query_as!(
        ProblemRow,
        "delete from channel_problem where channel_id = $1
         returning channel_id, account, reason, detail, since",
        channel,
    )
    .fetch_all(connection)
    .await
}

/// How channels of all accounts are, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Customers are heard and answered.
    pub enabled: i64,
    /// Of those, with a problem that needs an administrator.
    pub degraded: i64,
    /// They must be connected again: the provider refused them.
    pub refused: i64,
    /// Switched off, or disconnected by an administrator.
    pub off: i64,
}

/// Counts the channels of all accounts.
pub async fn count(connection: &mut PgConnection) -> Result<Counted, sqlx::Error> {
    sqlx::query_as!(
        Counted,
        r#"select count(*) filter (where c.state = 'enabled') as "enabled!",
                  count(*) filter (where c.state = 'enabled' and p.channel_id is not null) as "degraded!",
                  count(*) filter (where c.state = 'disconnected' and c.released_at is null) as "refused!",
                  count(*) filter (where c.state = 'disabled' or c.released_at is not null) as "off!"
           from channel c
           left join (select distinct channel_id from channel_problem) p on p.channel_id = c.id"#,
    )
    .fetch_one(connection)
    .await
}

/// A problem with the name of its channel.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The channel.
    pub channel_id: Uuid,
    /// Slug of its account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// It does not work at all until it is connected again.
    pub refused: bool,
    /// `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// What happened and what to do.
    pub detail: String,
    /// Since when.
    pub since: OffsetDateTime,
}

/// Returns the problems of channels of all accounts that are enabled or were refused: those that do not work first, then the
/// newest, `limit` at most.
pub async fn newest(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Trouble>, sqlx::Error> {
    sqlx::query_as!(
        Trouble,
        r#"select p.channel_id, c.account, c.name, c.state = 'disconnected' as "refused!", p.reason, p.detail, p.since
           from channel_problem p join channel c on c.id = p.channel_id
           where c.state <> 'disabled' and c.released_at is null
           order by c.state = 'disconnected' desc, p.since desc, p.channel_id limit $1"#,
        limit,
    )
    .fetch_all(connection)
    .await
}
