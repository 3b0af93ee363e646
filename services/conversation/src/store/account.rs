//! What is kept of accounts, which assignment owns.

use chassis::id::AccountSlug;
use sqlx::PgConnection;

use super::unreadable;
use crate::domain::words::Language;

/// Keeps the languages of accounts.
pub async fn keep(
    connection: &mut PgConnection,
    languages: &[(AccountSlug, Language)],
) -> Result<(), sqlx::Error> {
    if languages.is_empty() {
        return Ok(());
    }
    let (accounts, languages): (Vec<String>, Vec<String>) = languages
        .iter()
        .map(|(account, language)| (account.to_string(), language.as_str().to_owned()))
        .unzip();
    sqlx::query!(
        "insert into account (account, language)
         select distinct on (new.account) new.account, new.language
         from unnest($1::text[], $2::text[]) as new (account, language) order by new.account
         on conflict (account) do update set language = excluded.language",
        &accounts,
        &languages,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns the language in which an account's agents read what the system words (D33): English for one that is not known.
pub async fn language(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<Language, sqlx::Error> {
    let language = sqlx::query_scalar!(
        "select language from account where account = $1",
        account.as_str()
    )
    .fetch_optional(connection)
    .await?;
    language.map_or(Ok(Language::English), |language| {
        Language::try_from(language.as_str()).map_err(|error| unreadable("account.language", error))
    })
}
