//! Fills conversation's tables as a year of work would: chats one after the other, of each ten messages over a week.

use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message as _;
use sqlx::{Connection, PgConnection};
use switchboard_proto::common::v1::{ContentPart, Text, content_part::Content};
use switchboard_proto::conversation::v1::Message;
use time::OffsetDateTime;
use uuid::Uuid;

/// Messages of a chat.
pub const MESSAGES: u32 = 10;

/// Chats that are filled in by one statement.
const AT_ONCE: u32 = 10_000;

/// Words that people use, the first ones much more often than the last.
pub const VOCABULARY: u32 = 20_000;

/// Words of a message.
const WORDS: u32 = 8;

/// Bytes of a message's text, all alike: eight words with spaces between them, and the number by which one message alone is found.
const TEXT: usize = 8 * 9 + 7 + 11;

/// Whose chats they are.
pub struct Filling<'a> {
    pub account: &'a str,
    pub chats: u32,
    pub agents: &'a [Uuid],
    /// All clients of the last one have been answered and their conversations ended.
    pub channels: &'a [Uuid],
}

/// How ids are made: kind, and number of the row.
pub fn id(kind: u128, row: u32) -> Uuid {
    Uuid::from_u128((kind << 96) | u128::from(row))
}

/// Kinds of ids.
pub const CHAT: u128 = 0x12;

/// The number by which a message is found, and no other: of so many chats, of so many of its messages.
pub fn number(chat: u32, message: u32) -> String {
    format!("nr{:08}", chat * MESSAGES + message)
}

/// What a lexeme begins with: see conversation's `domain::search`. Were it otherwise there, questions here would find nothing, which the
/// bench does not take for an answer.
fn scope(account: &str, part: &str) -> String {
    let namespace = Uuid::from_u128(0x9b1d_5f0e_7c2a_4e7d_8a35_54c0_91b3_d6e2);
    let parts = [account, part].into_iter().flat_map(|part| {
        let length = (part.len() as u64).to_be_bytes();
        length.into_iter().chain(part.bytes())
    });
    let name: Vec<u8> = parts.collect();
    let hash = Uuid::new_v5(&Uuid::new_v5(&namespace, b"search"), &name);
    hash.simple().to_string().chars().take(6).collect()
}

/// Seconds of one bucket of the search, and when they begin.
const BUCKET: i64 = 1 << 16;
const BUCKETS_BEGIN: i64 = 1_577_836_800;

/// A body as conversation stores it, before and after a text of `TEXT` bytes.
fn body() -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let mark = "#".repeat(TEXT);
    let message = Message {
        parts: vec![ContentPart {
            content: Some(Content::Text(Text {
                text: mark.clone(),
                ..Text::default()
            })),
        }],
        ..Message::default()
    };
    let bytes = message.encode_to_vec();
    let at = bytes
        .windows(TEXT)
        .position(|window| window == mark.as_bytes());
    let (before, rest) = bytes.split_at(at.context("the text within the message")?);
    let after = rest.split_at(TEXT).1;
    Ok((before.to_vec(), after.to_vec()))
}

/// Fills all tables; what triggers count is counted at the end.
pub async fn fill(url: &str, filling: &Filling<'_>) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(url).await?;
    let tables = [
        "client",
        "chat",
        "conversation",
        "message",
        "chat_label",
        "chat_words",
        "message_words",
    ];
    sqlx::raw_sql("set session_replication_role = replica; set maintenance_work_mem = '1GB'; set work_mem = '256MB'")
        .execute(&mut database)
        .await?;
    // Nothing is left for the service to fill in itself.
    sqlx::raw_sql("delete from search_fill")
        .execute(&mut database)
        .await?;
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexname::text, indexdef from pg_indexes where schemaname = current_schema() and tablename::text = any($1)
         and indexname not in (select conname from pg_constraint) order by tablename, indexname",
    )
    .bind(tables.map(str::to_owned).to_vec())
    .fetch_all(&mut database)
    .await?;
    for (name, _) in &indexes {
        sqlx::query(sqlx::AssertSqlSafe(format!("drop index {name}")))
            .execute(&mut database)
            .await?;
    }
    rows(&mut database, filling).await?;
    let (begun, bar) = (Instant::now(), bar("indexes", indexes.len() as u64)?);
    for (name, definition) in &indexes {
        bar.set_message(name.clone());
        sqlx::query(sqlx::AssertSqlSafe(definition.as_str()))
            .execute(&mut database)
            .await?;
        bar.inc(1);
    }
    done(&bar, "indexes", begun);
    // Apart: `vacuum` runs in no transaction. What the filling left to be written to the disk is no part of what is measured.
    for sql in [
        "reset session_replication_role",
        "vacuum analyze",
        "checkpoint",
    ] {
        sqlx::query(sql).execute(&mut database).await?;
    }
    Ok(())
}

async fn rows(database: &mut PgConnection, filling: &Filling<'_>) -> anyhow::Result<()> {
    let now = OffsetDateTime::now_utc();
    let newest = (now.unix_timestamp() - BUCKETS_BEGIN) / BUCKET;
    // A year, and what began before it.
    let oldest = newest - 500;
    let scopes: Vec<String> = (oldest..=newest)
        .map(|bucket| scope(filling.account, &bucket.to_string()))
        .collect();
    let (before, after) = body()?;
    for (what, sql) in steps() {
        let begun = Instant::now();
        let bar = bar(what, filling.chats.into())?;
        for from in (1..=filling.chats).step_by(AT_ONCE as usize) {
            let to = filling.chats.min(from + AT_ONCE - 1);
            sqlx::query(sqlx::AssertSqlSafe(sql.as_str()))
                .bind(filling.account)
                .bind(i64::from(filling.chats))
                .bind(i64::from(from))
                .bind(i64::from(to))
                .bind(now)
                .bind(filling.agents)
                .bind(filling.channels)
                .bind(&before)
                .bind(&after)
                .bind(&scopes)
                .bind(oldest)
                .bind(scope(filling.account, "chats"))
                .execute(&mut *database)
                .await
                .with_context(|| format!("{what} are not filled"))?;
            bar.inc(u64::from(to - from + 1));
        }
        done(&bar, what, begun);
    }
    for sql in COUNTS {
        sqlx::query(sql)
            .bind(filling.account)
            .bind(i64::from(filling.chats))
            .bind(oldest)
            .execute(&mut *database)
            .await?;
    }
    Ok(())
}

fn bar(what: &str, length: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:14} {bar:40} {pos}/{len} {elapsed} {msg}")?;
    let bar = ProgressBar::new(length).with_style(style);
    bar.set_prefix(what.to_owned());
    Ok(bar)
}

fn done(bar: &ProgressBar, what: &str, begun: Instant) {
    bar.finish_and_clear();
    eprintln!("{what} in {:.0} s", begun.elapsed().as_secs_f64());
}

/// Of the arguments of all steps each takes what it needs; the rest is named so that all take the same.
fn steps() -> [(&'static str, String); 7] {
    let unused = "with unused as (select $1::text, $2::bigint, $3::bigint, $4::bigint, $5::timestamptz, $6::uuid[], $7::uuid[], $8::bytea,
                     $9::bytea, $10::text[], $11::bigint, $12::text)";
    // Of hundred chats three are open, of all times, and so are most of the newest; those of the last channel are not.
    let chats = "c as (
        select *, case when not open then 'inactive' when i % 4 = 0 then 'unassigned' else 'active' end as state,
               case when not open or i % 4 <> 0 then agents[1 + i % cardinality(agents)] end as responsible,
               open and i % 2 = 0 as waiting
        from (select *, channel <> channels[cardinality(channels)] and (i > total * 0.99 or i % 100 in (4, 49, 90)) as open
              from (select i, total, agents, channels, ('00000011-0000-0000-0000-' || hex)::uuid as client,
                           ('00000012-0000-0000-0000-' || hex)::uuid as chat, ('00000013-0000-0000-0000-' || hex)::uuid as conversation,
                           channels[1 + i * 7 % cardinality(channels)] as channel, hex,
                           now - (total - i) * interval '365 days' / total - interval '8 days' as at
                    from (select i, lpad(to_hex(i), 12, '0') as hex, $2 as total, $5 as now, $6 as agents, $7 as channels
                          from generate_series($3, $4) i) numbered) placed) opened)";
    let word = |place: u32| {
        format!(
            "'word' || lpad((power((hashint8(m * 16 + {place}) & 1048575) / 1048576.0::float8, 4) * {VOCABULARY})::int::text, 5, '0') as w{place}"
        )
    };
    let words: Vec<String> = (1..=WORDS).map(word).collect();
    let messages = format!(
        "m as (
            select *, ((extract(epoch from time)::bigint - {BUCKETS_BEGIN}) / {BUCKET} - $11 + 1)::int as bucket, {}
            from (select c.*, j, i * {MESSAGES} + j - 1 as m, at + j * interval '19 hours' as time,
                         lpad(to_hex((extract(epoch from at + j * interval '19 hours') * 1000)::bigint), 12, '0')
                             || '8' || substr(md5(i || '/' || j), 1, 3) || '8' || substr(md5(i || '/' || j), 4, 15) as message
                  from c cross join generate_series(1, {MESSAGES}) j) said
        )",
        words.join(", ")
    );
    let text: Vec<String> = (1..=WORDS).map(|place| format!("w{place}")).collect();
    let text = text.join(" || ' ' || ");
    let lexemes: Vec<String> = (1..=WORDS)
        .map(|place| format!("'''' || p || 'w' || w{place} || ''':{place} '"))
        .chain((1..WORDS).map(|place| {
            let next = place + 1;
            format!("'''' || p || 'p' || w{place} || ' ' || w{next} || ''' '")
        }))
        .collect();
    let lexemes = lexemes.join(" || ");
    let name = "'First' || i % 500 || ' Last' || i / 500 % 5000";
    let latest = "at + interval '171 hours'";
    [
        ("clients", format!(
            "{unused}, {chats} insert into client (client_id, account, scope, user_id, name, username, phone, email, language, profile_time, created_at)
             select client, $1, 'telegram', 'filled' || i, {name}, 'nick' || i, '+38050' || lpad(i::text, 7, '0'), '', 'uk', at, at from c"
        )),
        ("chats", format!(
            "{unused}, {chats} insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, state, responsible,
                 assignment_number, conversation_id, number, revision, opened_at, closed_at, sequence, unanswered, answered_sequence,
                 last_client_message_at, preview_text, preview_time, created_at, waiting, unread, last_client_sequence, labels, snoozed)
             select chat, $1, channel, 'telegram-bot', 'filled' || i, client, state, responsible,
                 1, conversation, i, 1, at, case when not open then {latest} + interval '1 day' end, {MESSAGES}, waiting::int, 8,
                 {latest}, 'What was said last', {latest}, at, waiting, waiting and i % 4 = 0, 9,
                 case when i % 50 = 0 then array['vip'] else '{{}}' end, open and i % 20 = 9
             from c"
        )),
        ("conversations", format!(
            "{unused}, {chats} insert into conversation (conversation_id, account, chat_id, number, revision, reason, start_payload, opened_at, closed_at,
                 closed_by)
             select conversation, $1, chat, i, 1, 'client-message', '', at, case when not open then {latest} + interval '1 day' end,
                 case when not open then 'system' end
             from c"
        )),
        ("messages", format!(
            "{unused}, {chats}, {messages} insert into message (message_id, account, chat_id, channel_id, conversation_id, kind, agent_id, body,
                 provider_key, provider_number, time, sequence, delivery, out_seq, delivery_at, created_at)
             select message::uuid, $1, chat, channel, conversation, case when j % 2 = 1 then 'client' else 'agent' end,
                 case when j % 2 = 0 then coalesce(responsible, agents[1]) end,
                 $8 || convert_to({text} || ' nr' || lpad(m::text, 8, '0'), 'UTF8') || $9, 'filled' || m, m, time, j,
                 case when j % 2 = 0 then 'delivered' end, j / 2, case when j % 2 = 0 then time end, time
             from m order by time"
        )),
        ("labels", format!(
            "{unused}, {chats} insert into chat_label (account, key, chat_id, listed_at)
             select $1, 'vip', chat, {latest} from c where i % 50 = 0"
        )),
        ("words of chats", format!(
            "{unused}, {chats} insert into chat_words (chat_id, account, own)
             select chat, $1, array_to_tsvector(array[$12 || '#' || substr(replace(channel::text, '-', ''), 25),
                 $12 || 'wfirst' || i % 500, $12 || 'wlast' || i / 500 % 5000, $12 || 'wnick' || i,
                 $12 || 'w38050' || lpad(i::text, 7, '0'), $12 || 'w' || lpad(i::text, 7, '0')])
             from c"
        )),
        ("words", format!(
            "{unused}, {chats}, {messages} insert into message_words (message_id, account, chat_id, channel_id, kind, time, words)
             select message::uuid, $1, chat, channel, case when j % 2 = 1 then 'client' else 'agent' end, time,
                 ({lexemes} || '''' || p || 'p' || w{WORDS} || ' nr' || lpad(m::text, 8, '0') || ''' ''' || p || 'wnr' || lpad(m::text, 8, '0') || ''':9 ''' || p || '#'
                     || substr(replace(channel::text, '-', ''), 25) || ''' ''' || p || '@' || substr(hex, 5) || '''')::tsvector
             from (select *, $10[bucket] as p from m) m"
        )),
    ]
}

const COUNTS: [&str; 4] = [
    "insert into chat_count (account, responsible, channel_id, state, chats, waiting, unread)
     select account, coalesce(responsible, '00000000-0000-0000-0000-000000000000'), channel_id, state, count(*),
            count(*) filter (where waiting and not spam), count(*) filter (where unread)
     from chat where account = $1 and $2::bigint > 0 and $3::bigint > 0 group by 1, 2, 3, 4",
    "insert into label (account, key, name) select $1, 'vip', 'VIP' where $2::bigint > 0 and $3::bigint > 0",
    "insert into account_number (account, last) select $1, $2 where $3::bigint > 0
     on conflict (account) do update set last = excluded.last",
    "insert into message_words_begin (account, bucket) select $1, $3 where $2::bigint > 0
     on conflict (account) do update set bucket = excluded.bucket",
];
