//! Creating, changing and deleting quick replies.

use std::collections::BTreeSet;

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use chassis::request::{self, Claim};
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{QuickReplies, may_change};
use crate::audit as told;
use crate::domain::quick_reply::{ACCOUNT_MAX, AGENT_MAX, Owner, QuickReplyId, variables};
use crate::error::{DOMAIN, Error, QuickReplyError};
use crate::store::quick_replies::{self as store, QuickReply};
use crate::wire;

const CREATE: &str = "CreateQuickReply";

/// A quick reply to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Makes it idempotent; none where the caller gave none.
    pub request_id: Option<String>,
    /// Hash of the request, which tells a repeat from a reuse.
    pub hash: [u8; 32],
    /// Whose it is to be.
    pub owner: Owner,
    /// Its folder; empty for none.
    pub folder: String,
    /// What is typed to get it; empty for none.
    pub shortcut: String,
    /// By what it is known.
    pub title: String,
    /// Its text.
    pub text: Text,
    /// Its files.
    pub files: Vec<Uuid>,
}

/// What of a quick reply is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Its folder.
    pub folder: Option<String>,
    /// What is typed to get it.
    pub shortcut: Option<String>,
    /// By what it is known.
    pub title: Option<String>,
    /// Its text.
    pub text: Option<Text>,
    /// Its files.
    pub files: Option<Vec<Uuid>>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

/// Refuses what would put nothing into the input field, or what no chat could fill in.
fn check(text: &Text, files: &[Uuid]) -> Result<(), QuickReplyError> {
    if text.text.is_empty() && files.is_empty() {
        let rule = "must not be empty where there are no files";
        return Err(QuickReplyError::field("text.text", rule));
    }
    variables(&text.text)?;
    Ok(())
}

/// A shortcut that its owner has already.
fn taken(error: sqlx::Error, shortcut: &str) -> Error {
    match error {
        sqlx::Error::Database(error) if error.constraint() == Some("quick_reply_by_shortcut") => {
            QuickReplyError::ShortcutTaken(shortcut.to_owned()).into()
        }
        error => error.into(),
    }
}

impl Wanted {
    /// Returns the answer of an earlier request of this id, or claims the id for this transaction.
    async fn earlier(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        now: OffsetDateTime,
    ) -> Result<Option<pb::CreateQuickReplyResponse>, Error> {
        let Some(id) = &self.request_id else {
            return Ok(None);
        };
        match request::claim(connection, caller.account(), CREATE, id, &self.hash, now).await? {
            Claim::New => Ok(None),
            Claim::Done(answer) => Ok(Some(pb::CreateQuickReplyResponse::decode(answer)?)),
            Claim::Conflict => Err(Error::RequestIdReused(id.clone())),
        }
    }
}

impl QuickReplies {
    /// Creates a quick reply.
    pub async fn create(
        &self,
        caller: &Caller,
        wanted: Wanted,
        now: OffsetDateTime,
    ) -> Result<pb::CreateQuickReplyResponse, Error> {
        may_change(caller, wanted.owner)?;
        check(&wanted.text, &wanted.files)?;
        // A repeat is answered as the first call was, whatever became of its group and files since.
        let mut looked = self.pool.begin().await?;
        if let Some(answer) = wanted.earlier(&mut looked, caller, now).await? {
            return Ok(answer);
        }
        // Others are asked with no transaction open.
        looked.rollback().await?;
        self.check_owner(caller, wanted.owner).await?;
        self.hold(caller, &wanted.files, "attachment_ids").await?;

        let account = caller.account();
        let mut tx = self.pool.begin().await?;
        if let Some(answer) = wanted.earlier(&mut tx, caller, now).await? {
            return Ok(answer);
        }
        // Of two at once the second counts the first.
        audit::alone(&mut tx, account, "quick-replies", account).await?;
        let (all, own) = store::count(&mut tx, account, wanted.owner).await?;
        if all >= ACCOUNT_MAX {
            return Err(QuickReplyError::TooMany.into());
        }
        if matches!(wanted.owner, Owner::Agent(_)) && own >= AGENT_MAX {
            return Err(QuickReplyError::TooManyOfAgent.into());
        }
        let reply = QuickReply {
            id: v7(now).into(),
            owner: wanted.owner,
            folder: wanted.folder,
            shortcut: wanted.shortcut,
            title: wanted.title,
            text: wanted.text,
            files: wanted.files,
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        let put = store::put(&mut tx, account, &reply, now).await;
        put.map_err(|error| taken(error, &reply.shortcut))?;
        let made = wire::quick_reply(&reply);
        let entry = told::quick_reply(caller, &(None, Some(made.clone())))?;
        let answer = pb::CreateQuickReplyResponse {
            quick_reply: Some(made),
        };
        if let Some(id) = &wanted.request_id {
            request::store(&mut tx, account, CREATE, id, &answer.encode_to_vec()).await?;
        }
        audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Changes a quick reply that the caller sees. What was put into input fields before stays as it is (F097).
    pub async fn update(
        &self,
        caller: &Caller,
        id: QuickReplyId,
        change: Change,
        now: OffsetDateTime,
    ) -> Result<QuickReply, Error> {
        // Its owner never changes.
        let owner = self.visible(caller, id).await?.owner;
        may_change(caller, owner)?;
        if let Some(files) = &change.files {
            let field = "attachments.attachment_ids";
            self.hold(caller, files, field).await?;
        }
        let account = caller.account();
        let mut tx = self.pool.begin().await?;
        let before = store::lock(&mut tx, account, id).await?;
        let before = before.ok_or(QuickReplyError::NotFound)?;
        if change.expected.is_some_and(|seen| seen != before.revision) {
            return Err(QuickReplyError::Overtaken(before.revision).into());
        }
        let mut reply = before.clone();
        reply.folder = change.folder.unwrap_or(reply.folder);
        reply.shortcut = change.shortcut.unwrap_or(reply.shortcut);
        reply.title = change.title.unwrap_or(reply.title);
        reply.text = change.text.unwrap_or(reply.text);
        reply.files = change.files.unwrap_or(reply.files);
        check(&reply.text, &reply.files)?;
        if reply == before {
            return Ok(before);
        }
        reply.revision += 1;
        reply.updated_at = now;
        let put = store::put(&mut tx, account, &reply, now).await;
        put.map_err(|error| taken(error, &reply.shortcut))?;
        let sides = (
            Some(wire::quick_reply(&before)),
            Some(wire::quick_reply(&reply)),
        );
        let entry = told::quick_reply(caller, &sides)?;
        audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
        tx.commit().await?;
        Ok(reply)
    }

    /// Deletes a quick reply that the caller sees. The gateway keeps its files for a while, and is not told.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: QuickReplyId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let owner = self.visible(caller, id).await?.owner;
        may_change(caller, owner)?;
        let account = caller.account();
        let mut tx = self.pool.begin().await?;
        let before = store::lock(&mut tx, account, id).await?;
        let before = before.ok_or(QuickReplyError::NotFound)?;
        store::delete(&mut tx, account, id).await?;
        let entry = told::quick_reply(caller, &(Some(wire::quick_reply(&before)), None))?;
        audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Refuses an owner that the account has not.
    async fn check_owner(&self, caller: &Caller, owner: Owner) -> Result<(), Error> {
        let account = caller.account();
        let (known, rule) = match owner {
            Owner::Account => return Ok(()),
            Owner::Agent(agent) if caller.agent() == Some(agent) => return Ok(()),
            Owner::Agent(agent) => {
                let name = self.staff.name(account, agent).await;
                (
                    name.map(|name| name.is_some()),
                    "must be an agent of the account",
                )
            }
            Owner::Group(group) => {
                let known = self.staff.has_group(account, group).await;
                (known, "must be a group of the account")
            }
        };
        if known.map_err(Error::Refused)? {
            return Ok(());
        }
        Err(QuickReplyError::field("owner_id", rule).into())
    }

    /// Has files kept; refuses those that are not there, or not the caller's to give.
    async fn hold(&self, caller: &Caller, files: &[Uuid], field: &str) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let kept = self.files.hold(caller.account(), caller.agent(), files);
        let kept: BTreeSet<Uuid> = kept.await.map_err(Error::Refused)?.into_iter().collect();
        match files.iter().position(|file| !kept.contains(file)) {
            None => Ok(()),
            Some(place) => {
                let rule = "must be an upload of the caller's own that is there, a file of a quick reply, or one that was sent in a \
                            chat that the caller sees";
                Err(QuickReplyError::field(format!("{field}[{place}]"), rule).into())
            }
        }
    }
}
