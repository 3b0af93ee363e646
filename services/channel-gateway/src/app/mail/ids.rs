//! What is known under the Message-IDs of a mail.

use std::collections::BTreeMap;

use chassis::id;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::email::Standing;
use crate::domain::email::normalise::{Claim, Hash, Side, id_hash};
use crate::store::mail_ids::{self, Came};

/// Looks up how a mail stands, and notes it where it may become a message.
pub(super) async fn standing(
    pool: &PgPool,
    channel: Uuid,
    claim: &Claim,
    now: OffsetDateTime,
) -> Result<Standing, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let hash = id_hash(&claim.message_id);
    let went_out = async |connection: &mut sqlx::PgConnection| {
        mail_ids::went_out(connection, channel, &claim.message_id, &hash).await
    };
    if claim.side == Side::OwnAddress {
        return Ok(Standing {
            went_out: went_out(&mut connection).await?,
            ..Standing::default()
        });
    }
    let chat_id = id::v5("chat", &[&channel.to_string(), &claim.chat_key]);
    let came = Came {
        channel_id: channel,
        message_id: &claim.message_id,
        id_hash: &hash,
        content: &claim.content,
        chat_id,
        own: claim.side == Side::Sent,
        our_form: claim.our_form,
    };
    let first = mail_ids::claim(&mut connection, &came, now).await?;
    let named: BTreeMap<Hash, &String> = claim
        .references
        .iter()
        .map(|reference| (id_hash(reference), reference))
        .collect();
    let hashes: Vec<Vec<u8>> = named.keys().map(|hash| hash.to_vec()).collect();
    let further = mail_ids::further(&mut connection, channel, chat_id, &hashes).await?;
    let further_references = further.into_iter().filter_map(|(hash, content)| {
        let (hash, content) = (Hash::try_from(hash).ok()?, Hash::try_from(content).ok()?);
        Some(((*named.get(&hash)?).clone(), content))
    });
    Ok(Standing {
        further: !first,
        further_references: further_references.collect(),
        ..Standing::default()
    })
}
