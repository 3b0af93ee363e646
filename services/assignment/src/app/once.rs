//! Request ids: what was done once is answered again, not done again (B02).

use chassis::id::AccountSlug;
use chassis::request::{self, Claim};
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::error::Error;

/// A request that may carry a request id.
#[derive(Debug, Clone, Copy)]
pub struct Once<'r> {
    /// The account.
    pub account: &'r AccountSlug,
    /// Name of the method.
    pub method: &'static str,
    /// The request id, where there is one.
    pub request_id: Option<&'r str>,
}

impl Once<'_> {
    /// Claims the request id; returns the answer of an earlier request with the same content.
    pub async fn claim<A: Message + Default>(
        &self,
        connection: &mut PgConnection,
        request: &impl Message,
        now: OffsetDateTime,
    ) -> Result<Option<A>, Error> {
        let Some(id) = self.request_id else {
            return Ok(None);
        };
        let hash = request::hash(request);
        match request::claim(connection, self.account, self.method, id, &hash, now).await? {
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
            request::store(connection, self.account, self.method, id, &bytes).await?;
        }
        Ok(())
    }
}
