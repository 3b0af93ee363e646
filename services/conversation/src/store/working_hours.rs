//! Table `working_hours`: copies of assignment's calendars, of accounts and of channels.

use std::collections::BTreeMap;

use chassis::calendar::Calendar;
use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::ChannelId;

/// Whose working hours: an account's, or one of its channels'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The account.
    pub account: AccountSlug,
    /// The channel; none for the account itself.
    pub channel: Option<ChannelId>,
}

impl Owner {
    const fn kind(&self) -> &'static str {
        match self.channel {
            Some(_) => "channel",
            None => "account",
        }
    }

    fn id(&self) -> Uuid {
        self.channel.map_or(Uuid::nil(), ChannelId::uuid)
    }
}

/// What is known of an owner's calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its revision; 0 where there never was one.
    pub revision: i64,
    /// The calendar; none where there is none, or one that this version cannot read.
    pub calendar: Option<Calendar>,
    /// It was deleted, or never set.
    pub deleted: bool,
}

impl Word {
    /// Says that there is none.
    pub const NONE: Self = Self {
        revision: 0,
        calendar: None,
        deleted: true,
    };

    const fn order(&self) -> (i64, bool) {
        (self.revision, self.deleted)
    }
}

/// Keeps the newest word of each owner: the highest revision, and of one the deletion. Returns the accounts where that changed
/// something.
pub async fn keep(
    connection: &mut PgConnection,
    words: &[(Owner, Word)],
) -> Result<Vec<String>, sqlx::Error> {
    let mut newest = BTreeMap::<&Owner, &Word>::new();
    for (owner, word) in words {
        let kept = newest.entry(owner).or_insert(word);
        if kept.order() < word.order() {
            *kept = word;
        }
    }
    if newest.is_empty() {
        return Ok(Vec::new());
    }
    macro_rules! column {
        (|$owner:ident, $word:ident| $value:expr) => {
            newest
                .iter()
                .map(|($owner, $word)| $value)
                .collect::<Vec<_>>()
        };
    }
    sqlx::query_scalar!(
        r#"insert into working_hours as kept (account, owner, owner_id, revision, deleted, definition)
           select * from unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bool[], $6::jsonb[])
           on conflict (account, owner, owner_id) do update
           set revision = excluded.revision, deleted = excluded.deleted, definition = excluded.definition
           where (kept.revision, kept.deleted) < (excluded.revision, excluded.deleted)
           returning account as "account!""#,
        &column!(|owner, _word| owner.account.to_string()),
        &column!(|owner, _word| owner.kind().to_owned()),
        &column!(|owner, _word| owner.id()),
        &column!(|_owner, word| word.revision),
        &column!(|_owner, word| word.deleted),
        &column!(|_owner, word| word.calendar.clone().map(Json)) as &[Option<Json<Calendar>>],
    )
    .fetch_all(connection)
    .await
}

/// Returns what is known of owners' calendars.
pub async fn several(
    connection: &mut PgConnection,
    owners: &[Owner],
) -> Result<BTreeMap<Owner, Option<Calendar>>, sqlx::Error> {
    let accounts: Vec<String> = owners
        .iter()
        .map(|owner| owner.account.to_string())
        .collect();
    let kinds: Vec<String> = owners.iter().map(|owner| owner.kind().to_owned()).collect();
    let ids: Vec<Uuid> = owners.iter().map(Owner::id).collect();
    let rows = sqlx::query!(
        r#"select k.place as "place!", h.definition as "definition: Json<Calendar>"
           from unnest($1::text[], $2::text[], $3::uuid[]) with ordinality k(account, owner, owner_id, place)
           join working_hours h on h.account = k.account and h.owner = k.owner and h.owner_id = k.owner_id"#,
        &accounts,
        &kinds,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        let place = usize::try_from(row.place - 1).ok()?;
        let calendar = row.definition.map(|calendar| calendar.0);
        Some((owners.get(place)?.clone(), calendar))
    });
    Ok(known.collect())
}
