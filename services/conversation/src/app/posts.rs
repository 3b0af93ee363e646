//! Posts whose comments are messages: the gateway says where their pages are, sooner or later (F090).

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use switchboard_proto::common::v1::Origin;
use switchboard_proto::conversation::v1 as pb;

use crate::error::Error;
use crate::store;

/// Names the pages of commented posts in messages that came before these were known, one statement for a page of
/// messages, and none where there is no such message.
pub async fn describe(
    connection: &mut PgConnection,
    account: &AccountSlug,
    messages: &mut [pb::Message],
) -> Result<(), Error> {
    let mut keys: Vec<String> = messages
        .iter()
        .filter_map(|message| message.origin.as_ref())
        .filter(|origin| is_open(origin))
        .map(|origin| origin.post_key.clone())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let links = store::post::links(connection, account, &keys).await?;
    let origins = messages.iter_mut().filter_map(|it| it.origin.as_mut());
    for origin in origins.filter(|origin| is_open(origin)) {
        if let Some(link) = links.get(&origin.post_key) {
            origin.link.clone_from(link);
        }
    }
    Ok(())
}

fn is_open(origin: &Origin) -> bool {
    origin.link.is_empty() && !origin.post_key.is_empty()
}
