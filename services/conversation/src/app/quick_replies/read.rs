//! Reading quick replies, and looking for them (F095).

use chassis::auth::Caller;
use uuid::Uuid;

use super::{QuickReplies, may_read};
use crate::domain::quick_reply::{OwnerKind, QuickReplyId, search, shortcut};
use crate::error::Error;
use crate::store::quick_replies::{self as store, Narrowing, QuickReply, Sought};

/// Which quick replies are asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Beginnings of words; empty for none.
    pub search: String,
    /// A folder; empty for any.
    pub folder: String,
    /// A kind of owner.
    pub kind: Option<OwnerKind>,
    /// Those that the caller may change, in place of those that the caller uses.
    pub changeable: bool,
    /// Where the page begins: whether it is among those that were found by their words, a title and an id.
    pub after: (bool, String, Uuid),
    /// Rows at most.
    pub limit: i64,
}

impl QuickReplies {
    /// Returns a quick reply that the caller sees.
    pub async fn get(&self, caller: &Caller, id: QuickReplyId) -> Result<QuickReply, Error> {
        self.visible(caller, id).await
    }

    /// Returns quick replies by title, of a search those first whose shortcut begins with it. Each with whether it is one
    /// of the others.
    pub async fn list(
        &self,
        caller: &Caller,
        asked: &Asked,
    ) -> Result<Vec<(bool, QuickReply)>, Error> {
        may_read(caller)?;
        let account = caller.account();
        let whose = self.whose(caller, asked.changeable).await?;
        let narrowing = Narrowing {
            folder: Some(asked.folder.clone()).filter(|folder| !folder.is_empty()),
            kind: asked.kind.map(OwnerKind::as_str),
        };
        let (later, title, id) = &asked.after;
        let mut connection = self.pool.acquire().await?;
        let Some(words) = search::query(account, &asked.search) else {
            let after = (title.as_str(), *id);
            let rows = store::list(
                &mut connection,
                account,
                &whose,
                &narrowing,
                after,
                asked.limit,
            );
            return Ok(rows.await?.into_iter().map(|row| (true, row)).collect());
        };
        // What cannot be a shortcut is none's beginning.
        let typed = shortcut(&asked.search).unwrap_or_default();
        let sought = Sought {
            words: &words,
            shortcut: &typed,
        };
        let rows = store::find(
            &mut connection,
            account,
            (&whose, &narrowing),
            sought,
            (*later, title, *id),
            asked.limit,
        );
        let later = |row: &QuickReply| typed.is_empty() || !row.shortcut.starts_with(&typed);
        Ok(rows
            .await?
            .into_iter()
            .map(|row| (later(&row), row))
            .collect())
    }

    /// Returns the folders of what the caller uses, after a name, each with how many quick replies are in it.
    pub async fn folders(
        &self,
        caller: &Caller,
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, i64)>, Error> {
        may_read(caller)?;
        let whose = self.whose(caller, false).await?;
        let mut connection = self.pool.acquire().await?;
        Ok(store::folders(&mut connection, caller.account(), &whose, after, limit).await?)
    }
}
