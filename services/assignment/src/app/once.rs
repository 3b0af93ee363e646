//! Request ids: what was done once is answered again, not done again (B02).

use chassis::auth::Caller;
use chassis::request::{self, Claim};
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::error::Error;

/// A request that may carry a request id.
#[derive(Debug, Clone, Copy)]
pub struct Once<'r> {
    /// Who asks: an answer is theirs alone.
    pub caller: &'r Caller,
    /// Name of the method.
    pub method: &'static str,
    /// The request id, where there is one.
    pub request_id: Option<&'r str>,
}

impl Once<'_> {
    /// Claims the request id; returns the answer of an earlier request of the same actor with the same content.
    /// What the caller may not see is refused before.
    pub async fn claim<A: Message + Default>(
        &self,
        connection: &mut PgConnection,
        request: &impl Message,
        now: OffsetDateTime,
    ) -> Result<Option<A>, Error> {
        let Some(id) = self.request_id else {
            return Ok(None);
        };
        let actor = self.caller.actor().to_string();
        let content = [actor.as_bytes(), b"\0", &request.encode_to_vec()].concat();
        let hash = request::hash(&content);
        let account = self.caller.account();
        match request::claim(connection, account, self.method, id, &hash, now).await? {
            Claim::New => Ok(None),
            Claim::Done(answer) => A::decode(answer)
                .map(Some)
                .map_err(|error| Error::Database(sqlx::Error::Decode(error.into()))),
            Claim::Conflict => Err(Error::RequestIdReused(id.to_owned())),
        }
    }

    /// Stores the answer.
    pub async fn store(
        &self,
        connection: &mut PgConnection,
        answer: &impl Message,
    ) -> Result<(), Error> {
        if let Some(id) = self.request_id {
            let bytes = answer.encode_to_vec();
            request::store(connection, self.caller.account(), self.method, id, &bytes).await?;
        }
        Ok(())
    }
}
