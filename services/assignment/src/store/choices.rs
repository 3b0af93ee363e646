//! Every choice as it was made (D22, B06).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use chassis::id::{AccountSlug, AgentId, v5};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::candidates::Candidate;
use crate::domain::words::Rule;
use crate::domain::{ChatId, ConversationId};

/// A choice to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceRow {
    /// Its account.
    pub account: AccountSlug,
    /// The chat.
    pub chat: ChatId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The conversation's number.
    pub number: i64,
    /// When it was made.
    pub time: OffsetDateTime,
    /// The rule that decided.
    pub rule: Rule,
    /// Who was chosen; none where nobody was.
    pub agent: Option<AgentId>,
    /// Who acted, as in `ce-sbactor`.
    pub actor: String,
    /// Everybody who was looked at.
    pub candidates: Vec<Candidate>,
}

/// Candidates beyond which a choice keeps only what differs from a look that many share.
const MANY: usize = 16;

/// Candidates at most that may differ from a look: what differs grows with each choice, and a new look costs as much as
/// all its candidates. About the root of what a look weighs, in candidates, twice: neither part outgrows the other.
const DIFFERING: usize = 48;

/// Inserts choices in the order in which they were made; those that look at many refer to a look that is known, or is
/// made. Returns the looks that were made: when the transaction is committed, they may be known.
pub async fn insert(
    connection: &mut PgConnection,
    rows: &[ChoiceRow],
    known: &BTreeMap<LookKey, Arc<Look>>,
) -> Result<Vec<Look>, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (looks, kept) = with_looks(rows, known)?;
    insert_looks(connection, &looks).await?;
    let accounts: Vec<String> = rows.iter().map(|r| r.account.to_string()).collect();
    let chats: Vec<Uuid> = rows.iter().map(|r| r.chat.uuid()).collect();
    let conversations: Vec<Uuid> = rows.iter().map(|r| r.conversation.uuid()).collect();
    let numbers: Vec<i64> = rows.iter().map(|r| r.number).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.time).collect();
    let rules: Vec<&str> = rows.iter().map(|r| r.rule.as_str()).collect();
    let agents: Vec<Option<Uuid>> = rows.iter().map(|r| r.agent.map(AgentId::uuid)).collect();
    let actors: Vec<String> = rows.iter().map(|r| r.actor.clone()).collect();
    let (look_ids, candidates): (Vec<Option<Uuid>>, Vec<serde_json::Value>) =
        kept.into_iter().unzip();
    sqlx::query!(
        "insert into assignment_choice (account, chat_id, conversation_id, number, time, rule, agent_id,
             actor, candidates, look_id)
         select g.account, g.chat_id, g.conversation_id, g.number, g.time, g.rule, g.agent_id, g.actor,
                g.candidates, g.look_id
         from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::text[],
                     $7::uuid[], $8::text[], $9::jsonb[], $10::uuid[]) with ordinality
              as g(account, chat_id, conversation_id, number, time, rule, agent_id, actor, candidates,
                   look_id, position)
         order by g.position",
        &accounts,
        &chats,
        &conversations,
        &numbers,
        &times,
        &rules as &[&str],
        &agents as &[Option<Uuid>],
        &actors,
        &candidates,
        &look_ids as &[Option<Uuid>],
    )
    .execute(connection)
    .await?;
    Ok(looks)
}

/// An account, and a hash of who is looked at, within this process: looks at the same agents differ in their loads and the
/// like. That two sets of agents share a hash costs a look and nothing else: agents are compared before one is referred to.
pub type LookKey = (AccountSlug, u64);

/// Returns what the looks that a choice may refer to are known by; none where it looks at few and keeps them itself.
pub fn look_key(account: &AccountSlug, candidates: &[Candidate]) -> Option<LookKey> {
    if candidates.len() <= MANY {
        return None;
    }
    let mut agents = DefaultHasher::new();
    for candidate in candidates {
        agents.write_u128(candidate.agent.uuid().as_u128());
    }
    Some((account.clone(), agents.finish()))
}

/// What many choices looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    id: Uuid,
    /// The account.
    pub account: AccountSlug,
    /// Everybody who was looked at by the first of them.
    pub candidates: Vec<Candidate>,
}

impl Look {
    /// Returns what a choice has to keep beside this look, where that is little.
    fn beside<'c>(&self, candidates: &'c [Candidate]) -> Option<Vec<&'c Candidate>> {
        if self.candidates.len() != candidates.len() {
            return None;
        }
        let mut differing = Vec::new();
        for (known, candidate) in self.candidates.iter().zip(candidates) {
            if known.agent != candidate.agent {
                return None;
            }
            if known != candidate {
                differing.push(candidate);
            }
            if differing.len() > DIFFERING {
                return None;
            }
        }
        Some(differing)
    }
}

/// A choice's look, where it has one, and the candidates it keeps itself.
type Kept = (Option<Uuid>, serde_json::Value);

fn json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, sqlx::Error> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Splits what choices looked at into new looks and what each keeps itself.
fn with_looks(
    rows: &[ChoiceRow],
    known: &BTreeMap<LookKey, Arc<Look>>,
) -> Result<(Vec<Look>, Vec<Kept>), sqlx::Error> {
    let mut looks: Vec<Look> = Vec::new();
    // The newest look at the same agents, by its place in `looks`.
    let mut made: BTreeMap<LookKey, usize> = BTreeMap::new();
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let candidates = &row.candidates;
        let Some(key) = look_key(&row.account, candidates) else {
            kept.push((None, json(candidates)?));
            continue;
        };
        let newest = made.get(&key).and_then(|place| looks.get(*place));
        let look = newest.or_else(|| known.get(&key).map(|look| &**look));
        let found = look.and_then(|look| Some((look.id, look.beside(candidates)?)));
        if let Some((id, differing)) = found {
            kept.push((Some(id), json(&differing)?));
            continue;
        }
        let content = json(candidates)?.to_string();
        let look = Look {
            id: v5("look", &[row.account.as_str(), &content]),
            account: row.account.clone(),
            candidates: candidates.clone(),
        };
        kept.push((Some(look.id), serde_json::Value::Array(Vec::new())));
        made.insert(key, looks.len());
        looks.push(look);
    }
    Ok((looks, kept))
}

async fn insert_looks(connection: &mut PgConnection, looks: &[Look]) -> Result<(), sqlx::Error> {
    if looks.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = looks.iter().map(|look| look.id).collect();
    let accounts: Vec<String> = looks.iter().map(|look| look.account.to_string()).collect();
    let candidates: Vec<Json<&[Candidate]>> =
        looks.iter().map(|look| Json(&*look.candidates)).collect();
    // Sorted, so that two transactions that keep the same looks do not wait for each other in a circle.
    sqlx::query!(
        "insert into assignment_look (look_id, account, candidates)
         select g.look_id, g.account, g.candidates
         from unnest($1::uuid[], $2::text[], $3::jsonb[]) as g(look_id, account, candidates)
         order by g.look_id
         on conflict (look_id) do update set kept_at = now()",
        &ids,
        &accounts,
        &candidates as &[Json<&[Candidate]>],
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Puts a look and what differs from it together.
fn whole(look: Option<Vec<Candidate>>, own: Vec<Candidate>) -> Vec<Candidate> {
    let Some(mut candidates) = look else {
        return own;
    };
    let mut differing: BTreeMap<AgentId, Candidate> =
        own.into_iter().map(|own| (own.agent, own)).collect();
    for candidate in &mut candidates {
        if let Some(own) = differing.remove(&candidate.agent) {
            *candidate = own;
        }
    }
    candidates
}

/// Returns choices of a chat before a choice's number, newest first, each with its number.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    chat: ChatId,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, ChoiceRow)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select c.choice_id, c.conversation_id as "conversation_id: ConversationId", c.number, c.time, c.rule,
               c.agent_id as "agent_id: AgentId", c.actor, c.candidates as "candidates: Json<Vec<Candidate>>",
               l.candidates as "look?: Json<Vec<Candidate>>"
           from assignment_choice c
           left join assignment_look l on l.look_id = c.look_id and l.account = c.account
           where c.account = $1 and c.chat_id = $2 and c.choice_id < $3
           order by c.choice_id desc limit $4"#,
        account.as_str(),
        chat.uuid(),
        before,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rule =
                Rule::try_from(row.rule.as_str()).map_err(unreadable("assignment_choice.rule"))?;
            let choice = ChoiceRow {
                account: account.clone(),
                chat,
                conversation: row.conversation_id,
                number: row.number,
                time: row.time,
                rule,
                agent: row.agent_id,
                actor: row.actor,
                candidates: whole(row.look.map(|look| look.0), row.candidates.0),
            };
            Ok((row.choice_id, choice))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u128, load: i32) -> Candidate {
        Candidate::only(Uuid::from_u128(n).into(), load)
    }

    fn row(candidates: Vec<Candidate>) -> ChoiceRow {
        ChoiceRow {
            account: chassis::testing::account("acme"),
            chat: Uuid::nil().into(),
            conversation: Uuid::nil().into(),
            number: 1,
            time: OffsetDateTime::UNIX_EPOCH,
            rule: Rule::Distribution,
            agent: None,
            actor: String::new(),
            candidates,
        }
    }

    fn read(value: &serde_json::Value) -> Vec<Candidate> {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn d22_choices_among_many_share_looks_and_are_whole_when_read() {
        let mut rows = Vec::new();
        let mut loads = vec![0; 100];
        for n in 0..80_usize {
            let all = loads.iter().enumerate();
            rows.push(row(all
                .map(|(n, load)| candidate(n as u128, *load))
                .collect()));
            loads[n % 7] += 1;
        }
        rows.push(row(vec![candidate(5, 1)]));
        let (looks, kept) = with_looks(&rows, &BTreeMap::new()).unwrap();
        assert_eq!(looks.len(), 1, "never more than seven differ");
        assert_eq!(kept.last().unwrap().0, None, "few are kept with the choice");
        for (row, (look, own)) in rows.iter().zip(&kept) {
            let look = look.map(|id| {
                looks
                    .iter()
                    .find(|look| look.id == id)
                    .unwrap()
                    .candidates
                    .clone()
            });
            assert_eq!(whole(look, read(own)), row.candidates);
            assert!(row.candidates.len() == 1 || read(own).len() <= 7);
        }
        let again = with_looks(&rows[..1], &BTreeMap::new()).unwrap().0;
        assert_eq!(again[0].id, looks[0].id, "the same look is kept once");
        let acme = chassis::testing::account("acme");
        let known = looks.into_iter().map(|look| {
            let key = look_key(&acme, &look.candidates).unwrap();
            (key, Arc::new(look))
        });
        let known = known.collect();
        let (made, kept) = with_looks(&rows, &known).unwrap();
        assert_eq!(made, [], "a look that is known is referred to");
        assert!(
            kept[..80]
                .iter()
                .all(|(look, _)| *look == Some(again[0].id))
        );
    }

    #[test]
    fn d22_a_look_is_made_anew_when_too_much_differs_or_others_are_looked_at() {
        let before: Vec<Candidate> = (0..100).map(|n| candidate(n, 0)).collect();
        let mut rows = vec![row(before.clone())];
        for count in [DIFFERING, DIFFERING + 1] {
            let mut after = before.clone();
            after[..count].iter_mut().for_each(|one| one.load += 1);
            rows.push(row(after));
        }
        rows.push(row(before[1..].to_vec()));
        let (looks, kept) = with_looks(&rows, &BTreeMap::new()).unwrap();
        let of = |n: usize| kept[n].0.unwrap();
        assert_eq!(
            looks.iter().map(|l| l.id).collect::<Vec<_>>(),
            [of(0), of(2), of(3)]
        );
        assert_eq!(of(1), of(0));
        assert_eq!(read(&kept[1].1).len(), DIFFERING);
    }
}
