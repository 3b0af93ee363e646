//! Contacts that may be one person, and why.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::merges::Merge;
use super::{Before, account as slug};
use crate::domain::duplicates::{Pair, Reason, SUSPECTED_MAX};
use crate::domain::entity::Contact;
use crate::domain::ids::{ChatId, ContactId};

/// A suspicion that is new.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct New {
    /// The account.
    pub account: AccountSlug,
    /// Whose change led to it.
    pub contact: ContactId,
    /// The other.
    pub other: ContactId,
    /// What they have in common.
    pub reason: Reason,
}

/// A pair as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    /// The pair.
    pub pair: Pair,
    /// What they have in common.
    pub reasons: Vec<Reason>,
    /// When it was noticed first.
    pub at: OffsetDateTime,
}

/// Finds other contacts with the same phones or addresses: the oldest of each, up to a bound.
pub async fn alike(
    connection: &mut PgConnection,
    points: &[(AccountSlug, ContactId, Reason)],
) -> Result<Vec<New>, sqlx::Error> {
    let mut asked: Vec<(&AccountSlug, ContactId, &Reason, &String)> = Vec::new();
    for (account, contact, reason) in points {
        if let Reason::Phone(point) | Reason::Email(point) = reason {
            asked.push((account, *contact, reason, point));
        }
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let accounts: Vec<String> = asked
        .iter()
        .map(|(account, ..)| account.to_string())
        .collect();
    let contacts: Vec<Uuid> = asked
        .iter()
        .map(|(_, contact, ..)| contact.uuid())
        .collect();
    let texts: Vec<String> = asked.iter().map(|(.., point)| (*point).clone()).collect();
    let rows = sqlx::query!(
        r#"select k.place as "place!", o.contact as "id!"
           from unnest($1::text[], $2::uuid[], $3::text[]) with ordinality k(account, contact, point, place)
           cross join lateral (
               select p.contact from contact_point p
               where p.account = k.account and p.point = k.point and p.contact <> k.contact
               order by p.created_at, p.contact limit $4) o"#,
        &accounts,
        &contacts,
        &texts,
        SUSPECTED_MAX,
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().filter_map(|row| {
        let place = usize::try_from(row.place).ok()?.checked_sub(1)?;
        let (account, contact, reason, _) = asked.get(place)?;
        Some(New {
            account: (*account).clone(),
            contact: *contact,
            other: row.id.into(),
            reason: (*reason).clone(),
        })
    });
    Ok(found.collect())
}

/// Keeps suspicions; returns those that are new. Of pairs that somebody has dismissed none is.
pub async fn suspect(
    connection: &mut PgConnection,
    found: Vec<New>,
    now: OffsetDateTime,
) -> Result<Vec<New>, sqlx::Error> {
    let mut found: Vec<(Pair, New)> = found
        .into_iter()
        .filter_map(|new| Some((Pair::of(new.contact, new.other)?, new)))
        .collect();
    found.sort_by(|(a, x), (b, y)| (&x.account, a, &x.reason).cmp(&(&y.account, b, &y.reason)));
    // Two that come at once suspect each other: one row of a pair and reason.
    found.dedup_by(|(a, x), (b, y)| {
        (&x.account, *a, kind(&x.reason)) == (&y.account, *b, kind(&y.reason))
    });
    let mut new = Vec::new();
    // A statement writes a row once: a pair of two reasons is written by two statements, one for each kind of reason.
    for wanted in [Kind::Phone, Kind::Email, Kind::Visitor] {
        let of_kind: Vec<_> = found
            .iter()
            .filter(|(_, new)| kind(&new.reason) == wanted)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        let accounts: Vec<String> = of_kind
            .iter()
            .map(|(_, new)| new.account.to_string())
            .collect();
        let firsts: Vec<Uuid> = of_kind.iter().map(|(pair, _)| pair.first.uuid()).collect();
        let seconds: Vec<Uuid> = of_kind.iter().map(|(pair, _)| pair.second.uuid()).collect();
        let (mut phones, mut emails, mut visitors) = (Vec::new(), Vec::new(), Vec::new());
        for (_, new) in &of_kind {
            let (phone, email, visitor) = columns(&new.reason);
            phones.push(phone);
            emails.push(email);
            visitors.push(visitor);
        }
        let rows = sqlx::query!(
            "insert into suspected_duplicate as d (account, first, second, phone, email, visitor, at)
             select k.account, k.first, k.second, k.phone, k.email, k.visitor, $7
             from unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[])
               as k(account, first, second, phone, email, visitor)
             where not exists (select from dismissed_duplicate x
                               where x.account = k.account and x.first = k.first and x.second = k.second)
             on conflict (account, first, second) do update
             set phone = coalesce(d.phone, excluded.phone), email = coalesce(d.email, excluded.email),
                 visitor = coalesce(d.visitor, excluded.visitor)
             where d.phone is null and excluded.phone is not null
                or d.email is null and excluded.email is not null
                or d.visitor is null and excluded.visitor is not null
             returning account, first, second",
            &accounts,
            &firsts,
            &seconds,
            &phones as &[Option<String>],
            &emails as &[Option<String>],
            &visitors as &[Option<Uuid>],
            now,
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let account = slug(row.account)?;
            let pair = Pair {
                first: row.first.into(),
                second: row.second.into(),
            };
            let told = of_kind
                .iter()
                .find(|(known, new)| *known == pair && new.account == account);
            new.extend(told.map(|(_, new)| new.clone()));
        }
    }
    Ok(new)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Phone,
    Email,
    Visitor,
}

const fn kind(reason: &Reason) -> Kind {
    match reason {
        Reason::Phone(_) => Kind::Phone,
        Reason::Email(_) => Kind::Email,
        Reason::Visitor(_) => Kind::Visitor,
    }
}

fn columns(reason: &Reason) -> (Option<String>, Option<String>, Option<Uuid>) {
    match reason.clone() {
        Reason::Phone(phone) => (Some(phone), None, None),
        Reason::Email(email) => (None, Some(email), None),
        Reason::Visitor(visitor) => (None, None, Some(visitor)),
    }
}

/// Drops what contacts are suspected for by phones and addresses that they do not have any more.
pub async fn clear(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contacts: &[&Contact],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = contacts.iter().map(|contact| contact.id.uuid()).collect();
    let joined = |points: fn(&Contact) -> &Vec<String>| -> Vec<String> {
        let each = contacts.iter();
        each.map(|contact| points(contact).join("\n")).collect()
    };
    // Of a pair both may have changed: what one of them lacks is not in common.
    sqlx::query!(
        "with k as materialized (
             select k.id, string_to_array(k.phones, E'\\n') as phones, string_to_array(k.emails, E'\\n') as emails
             from unnest($2::uuid[], $3::text[], $4::text[]) k(id, phones, emails)),
         looked as (
             select d.first, d.second, d.visitor,
                    case when not exists (select from k where k.id in (d.first, d.second)
                                          and d.phone <> all(k.phones)) then d.phone end as phone,
                    case when not exists (select from k where k.id in (d.first, d.second)
                                          and d.email <> all(k.emails)) then d.email end as email
             from suspected_duplicate d where d.account = $1 and (d.first = any($2) or d.second = any($2))),
         gone as (
             delete from suspected_duplicate d using looked l
             where d.account = $1 and d.first = l.first and d.second = l.second
               and l.phone is null and l.email is null and l.visitor is null)
         update suspected_duplicate d set phone = l.phone, email = l.email from looked l
         where d.account = $1 and d.first = l.first and d.second = l.second
           and (l.phone is not null or l.email is not null or l.visitor is not null)
           and (d.phone is distinct from l.phone or d.email is distinct from l.email)",
        account.as_str(),
        &ids,
        &joined(|contact| &contact.phones),
        &joined(|contact| &contact.emails),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Drops all that a contact is suspected for.
pub async fn forget(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from suspected_duplicate where account = $1 and (first = $2 or second = $2)",
        account.as_str(),
        contact.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Says that a pair is two persons: it is not suspected, now and later.
pub async fn dismiss(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pair: Pair,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into dismissed_duplicate (account, first, second, at, actor) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        account.as_str(),
        pair.first.uuid(),
        pair.second.uuid(),
        now,
        actor,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from suspected_duplicate where account = $1 and first = $2 and second = $3",
        account.as_str(),
        pair.first.uuid(),
        pair.second.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

struct Row {
    first: Uuid,
    second: Uuid,
    phone: Option<String>,
    email: Option<String>,
    visitor: Option<Uuid>,
    at: OffsetDateTime,
}

impl From<Row> for Suspected {
    fn from(row: Row) -> Self {
        let reasons = row.phone.map(Reason::Phone).into_iter();
        let reasons = reasons.chain(row.email.map(Reason::Email));
        Self {
            pair: Pair {
                first: row.first.into(),
                second: row.second.into(),
            },
            reasons: reasons.chain(row.visitor.map(Reason::Visitor)).collect(),
            at: row.at,
        }
    }
}

/// Where a page of pairs begins: after this pair, in the order newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Time and first contact of the last pair of the page before.
    pub before: Before,
    /// Its second contact.
    pub second: Uuid,
}

impl After {
    /// After nothing: the first page.
    pub const START: Self = Self {
        before: Before::START,
        second: Uuid::max(),
    };
}

/// Returns a page of pairs, the newest first: only with one contact where it is named, and only where one agent is
/// responsible for both where `own` names one.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: Option<ContactId>,
    own: Option<Uuid>,
    after: After,
    limit: i64,
) -> Result<Vec<Suspected>, sqlx::Error> {
    let before = after.before;
    let rows = match (contact, own) {
        (None, None) => {
            sqlx::query_as!(
                Row,
                "select d.first, d.second, d.phone, d.email, d.visitor, d.at from suspected_duplicate d
                 where d.account = $1 and (d.at, d.first, d.second) < ($2, $3, $4)
                 order by d.at desc, d.first desc, d.second desc limit $5",
                account.as_str(),
                before.time,
                before.id,
                after.second,
                limit,
            )
            .fetch_all(connection)
            .await?
        }
        // From the agent's own contacts on, by key, whatever the server guesses of the rest: it would read all contacts. `offset 0`
        // keeps each look by itself.
        (None, Some(own)) => {
            sqlx::query_as!(
                Row,
                r#"select d.first as "first!", d.second as "second!", d.phone, d.email, d.visitor, d.at as "at!"
                 from (select c.id from contact c
                       where c.account = $1 and c.responsible = $5 and c.deleted_at is null offset 0) mine
                 cross join lateral (
                     select p.* from suspected_duplicate p
                     where p.account = $1 and p.first = mine.id and (p.at, p.first, p.second) < ($2, $3, $4)
                     offset 0) d
                 cross join lateral (
                     select from contact c
                     where c.account = $1 and c.id = d.second and c.responsible = $5 offset 0) other
                 order by d.at desc, d.first desc, d.second desc limit $6"#,
                account.as_str(),
                before.time,
                before.id,
                after.second,
                own,
                limit,
            )
            .fetch_all(connection)
            .await?
        }
        (Some(contact), own) => {
            sqlx::query_as!(
                Row,
                "select d.first, d.second, d.phone, d.email, d.visitor, d.at from suspected_duplicate d
                 where d.account = $1 and (d.first = $7 or d.second = $7)
                   and (d.at, d.first, d.second) < ($2, $3, $4)
                   and ($5::uuid is null or (
                        exists(select from contact c where c.account = d.account and c.id = d.first
                                 and c.responsible = $5)
                        and exists(select from contact c where c.account = d.account and c.id = d.second
                                     and c.responsible = $5)))
                 order by d.at desc, d.first desc, d.second desc limit $6",
                account.as_str(),
                before.time,
                before.id,
                after.second,
                own,
                limit,
                contact.uuid(),
            )
            .fetch_all(connection)
            .await?
        }
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A visitor who followed a link that was sent into a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The visitor.
    pub visitor: Uuid,
}

/// Keeps by which contacts' links visitors came; returns pairs of contacts that one visitor came by, the oldest others up to
/// a bound.
pub async fn visited(
    connection: &mut PgConnection,
    visits: &[(AccountSlug, Uuid, ContactId)],
    now: OffsetDateTime,
) -> Result<Vec<New>, sqlx::Error> {
    let accounts: Vec<String> = visits
        .iter()
        .map(|(account, ..)| account.to_string())
        .collect();
    let visitors: Vec<Uuid> = visits.iter().map(|(_, visitor, _)| *visitor).collect();
    let contacts: Vec<Uuid> = visits.iter().map(|(.., contact)| contact.uuid()).collect();
    sqlx::query!(
        "insert into contact_visit (account, visitor, contact, at)
         select k.*, $4 from unnest($1::text[], $2::uuid[], $3::uuid[]) as k on conflict do nothing",
        &accounts,
        &visitors,
        &contacts,
        now,
    )
    .execute(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        r#"select k.account as "account!", k.visitor as "visitor!", k.contact as "contact!", o.contact as other
           from unnest($1::text[], $2::uuid[], $3::uuid[]) k(account, visitor, contact)
           cross join lateral (
               select v.contact from contact_visit v
               where v.account = k.account and v.visitor = k.visitor and v.contact <> k.contact
               order by v.at, v.contact limit $4) o"#,
        &accounts,
        &visitors,
        &contacts,
        SUSPECTED_MAX,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(New {
                account: slug(row.account)?,
                contact: row.contact.into(),
                other: row.other.into(),
                reason: Reason::Visitor(row.visitor),
            })
        })
        .collect()
}

/// Returns contacts by whose links a visitor of this one came, too: of each visitor the oldest others up to a bound.
pub async fn came_by_both(
    connection: &mut PgConnection,
    account: &AccountSlug,
    contact: ContactId,
) -> Result<Vec<New>, sqlx::Error> {
    let rows = sqlx::query!(
        "select k.visitor, o.contact as other
         from contact_visit k
         cross join lateral (
             select v.contact from contact_visit v
             where v.account = k.account and v.visitor = k.visitor and v.contact <> k.contact
             order by v.at, v.contact limit $3) o
         where k.account = $1 and k.contact = $2",
        account.as_str(),
        contact.uuid(),
        SUSPECTED_MAX,
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().map(|row| New {
        account: account.clone(),
        contact,
        other: row.other.into(),
        reason: Reason::Visitor(row.visitor),
    });
    Ok(found.collect())
}

/// Lets the visits of a contact be another one's: those that it does not have already. Returns the visitors who had come by
/// the links of the first, and those of them whom the other gained.
pub async fn move_visits(
    connection: &mut PgConnection,
    account: &AccountSlug,
    source: ContactId,
    target: ContactId,
) -> Result<(Vec<Uuid>, Vec<Uuid>), sqlx::Error> {
    let rows = sqlx::query!(
        r#"with gone as (
               delete from contact_visit where account = $1 and contact = $2 returning visitor, at),
           come as (
               insert into contact_visit (account, visitor, contact, at)
               select $1, visitor, $3, at from gone
               on conflict do nothing returning visitor)
           select visitor as "visitor!", visitor in (select visitor from come) as "gained!" from gone"#,
        account.as_str(),
        source.uuid(),
        target.uuid(),
    )
    .fetch_all(connection)
    .await?;
    let gained = rows.iter().filter(|row| row.gained).map(|row| row.visitor);
    let gained = gained.collect();
    Ok((rows.into_iter().map(|row| row.visitor).collect(), gained))
}

/// Gives the contact that a merge took away its visits back, and takes from the other one what it had gained by them, with
/// what it was suspected for by these.
pub async fn give_back_visits(
    connection: &mut PgConnection,
    account: &AccountSlug,
    merge: &Merge,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (source, target) = (merge.source.uuid(), merge.target.uuid());
    sqlx::query!(
        "with back as (
             insert into contact_visit (account, visitor, contact, at)
             select $1, k.visitor, $2, coalesce(v.at, $6)
             from unnest($4::uuid[]) k(visitor)
             left join contact_visit v on v.account = $1 and v.contact = $3 and v.visitor = k.visitor
             on conflict do nothing)
         delete from contact_visit where account = $1 and contact = $3 and visitor = any($5)",
        account.as_str(),
        source,
        target,
        &merge.moved.visits,
        &merge.gained.visitors,
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "with gone as (
             delete from suspected_duplicate
             where account = $1 and (first = $2 or second = $2) and visitor = any($3)
               and phone is null and email is null)
         update suspected_duplicate set visitor = null
         where account = $1 and (first = $2 or second = $2) and visitor = any($3)
           and (phone is not null or email is not null)",
        account.as_str(),
        target,
        &merge.gained.visitors,
    )
    .execute(connection)
    .await
    .map(drop)
}
