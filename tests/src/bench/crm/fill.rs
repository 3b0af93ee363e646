//! Fills the tables of crm-cards.

use std::time::Instant;

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{ACCOUNT, AGENTS, Field};

/// Fills the tables as a year of work would: entities of one person beside each other in time, most cards ended. What
/// triggers count is counted at the end.
pub(super) async fn fill(url: &str, field: &Field) -> anyhow::Result<()> {
    let mut database = PgConnection::connect(url).await?;
    let statuses: Vec<Uuid> = field
        .pipelines
        .iter()
        .flat_map(|pipeline| &pipeline.statuses)
        .map(|status| status.status_id.parse())
        .collect::<Result<_, _>>()?;
    let sources: Vec<Uuid> = field
        .sources
        .iter()
        .map(|id| id.parse())
        .collect::<Result<_, _>>()?;
    let steps = [
        ("contacts", CONTACTS),
        ("identities", IDENTITIES),
        ("chats", CHATS),
        ("cards", CARDS),
        ("links", LINKS),
        ("decisions", DECISIONS),
    ];
    sqlx::query("set session_replication_role = replica")
        .execute(&mut database)
        .await?;
    for (what, sql) in steps {
        let begun = Instant::now();
        sqlx::query(sql)
            .bind(ACCOUNT)
            .bind(i64::from(field.rows))
            .bind(i64::from(AGENTS))
            .bind(&statuses)
            .bind(&sources)
            .execute(&mut database)
            .await
            .with_context(|| format!("{what} are not filled"))?;
        eprintln!(
            "{} {what} in {:.0} s",
            field.rows,
            begun.elapsed().as_secs_f64()
        );
    }
    sqlx::query(COUNTS).execute(&mut database).await?;
    sqlx::query("reset session_replication_role")
        .execute(&mut database)
        .await?;
    sqlx::query("vacuum analyze").execute(&mut database).await?;
    Ok(())
}

/// Of the arguments of all steps each takes what it needs; the rest is named so that all take the same.
macro_rules! step {
    ($sql:literal) => {
        concat!(
            "with unused as (select $3::bigint, $4::uuid[], $5::uuid[]), n as (
                select i, ('00000001-0000-0000-0000-' || hex)::uuid as contact,
                       ('00000002-0000-0000-0000-' || hex)::uuid as chat,
                       ('00000003-0000-0000-0000-' || hex)::uuid as card,
                       ('00000004-0000-0000-0000-' || lpad(to_hex(i % $3), 12, '0'))::uuid as agent,
                       'First' || i % 500 || ' Last' || i / 500 % 5000 as name, '+38050' || lpad(i::text, 7, '0') as phone,
                       now() - (($2 - i) * interval '30 seconds') as at
                from (select i, lpad(to_hex(i), 12, '0') as hex from generate_series(1, $2) i) g) ",
            $sql
        )
    };
}

const CONTACTS: &str = step!(
    "insert into contact (account, id, name, buyer, phones, responsible, created_at, words)
     select $1, contact, name, i % 10 = 0, array[phone], agent, at,
            array_to_tsvector(array['@' || $1, phone, '#telegram']) || setweight(to_tsvector('simple', name), 'A')
     from n"
);

const IDENTITIES: &str = step!(
    "insert into identity (account, scope, user_id, contact, name, username, phone, email, language)
     select $1, 'telegram', i::text, contact, name, 'user' || i, phone, '', 'uk' from n"
);

const CHATS: &str = step!(
    "insert into chat (account, id, channel, client, contact, created_at, messenger, scope, user_id)
     select $1, chat, ('00000005-0000-0000-0000-00000000000' || i % 10)::uuid, chat, contact, at, 'telegram', 'telegram', i::text
     from n"
);

// Of twenty cards one is new, one in work, nine each are won or lost.
const CARDS: &str = step!(
    "insert into card (account, id, kind, title, pipeline, status, status_kind, source, contact, chat, responsible,
                       created_at, updated_at, amount, currency, messenger, words)
     select $1, card, case when i % 10 = 0 then 'deal' else 'lead' end, title, s.pipeline, s.id, s.kind,
            ($5::uuid[])[1 + i % 4], contact, chat, agent, at, at + interval '1 hour',
            case when i % 3 = 0 then i % 10000 + 0.5 end, case when i % 3 = 0 then 'UAH' end, 'telegram',
            array_to_tsvector(array['@' || $1]) || setweight(to_tsvector('simple', title), 'A')
                || setweight(to_tsvector('simple', c.name), 'B')
     from (select n.*, case when i % 50 = 0 then 'Wholesale ' else 'Retail ' end || i as title,
                  case when i % 20 = 0 then 0 when i % 20 = 1 then 1 when i % 20 < 11 then 2 else 3 end as place
           from n) c
     join status s on s.account = $1 and s.id = ($4::uuid[])[1 + 4 * (i / 20 % 4) + place]"
);

const LINKS: &str = step!(
    "insert into chat_card (account, chat, card, linked_at) select $1, chat, card, at from n"
);

// Each card by a conversation of its own.
const DECISIONS: &str = step!(
    "insert into decision (account, conversation, number, chat, channel, contact, card, rule, connection, facts, decided_at)
     select $1, md5('conversation' || i)::uuid, i, chat, ('00000005-0000-0000-0000-00000000000' || i % 10)::uuid, contact,
            card, 'NOTHING_IN_WORK', '{}', '{}', at
     from n"
);

const COUNTS: &str =
    "insert into card_count (account, pipeline, status, responsible, currency, cards, amount)
     select account, pipeline, status, responsible, coalesce(currency, ''), count(*), coalesce(sum(amount), 0)
     from card where deleted_at is null group by 1, 2, 3, 4, 5";
