//! Short links: made when a message goes out, followed by people, told of once a person (F191–F193, F195).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chassis::grpc::timestamp;
use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::LinkClicked;
use switchboard_proto::common::v1::content_part::Content;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::queue::Queued;
use crate::domain::links::shorten;
use crate::error::{DOMAIN, Error};
use crate::store::short_links::{self, ShortLink};
use crate::store::unreadable;

/// Bytes of a code: too many to be guessed, few enough to be short.
const CODE: usize = 9;

/// Replaces the links of commands whose channel wants it, within the caller's transaction. The same message gets the
/// same links however often it comes.
pub async fn shorten_all(
    connection: &mut PgConnection,
    app: &App,
    queued: &mut [Queued],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let channels: BTreeSet<Uuid> = queued
        .iter()
        .filter(|entry| has_text(entry))
        .filter_map(|entry| entry.command.channel_id.parse().ok())
        .collect();
    if channels.is_empty() {
        return Ok(());
    }
    let channels: Vec<Uuid> = channels.into_iter().collect();
    let shortening = short_links::shortening(connection, &channels).await?;
    if shortening.is_empty() {
        return Ok(());
    }
    let mut links = Vec::new();
    for entry in queued {
        let channel = entry.command.channel_id.parse().ok();
        if channel.is_some_and(|channel| shortening.contains(&channel)) {
            shorten_one(app, entry, &mut links);
        }
    }
    if !links.is_empty() {
        short_links::insert(connection, &links, now).await?;
    }
    Ok(())
}

fn has_text(entry: &Queued) -> bool {
    let mut parts = entry.command.parts.iter();
    parts.any(|part| matches!(part.content, Some(Content::Text(_))))
}

fn shorten_one(app: &App, entry: &mut Queued, links: &mut Vec<ShortLink>) {
    let command = &mut entry.command;
    let ids = (
        command.channel_id.parse(),
        command.chat_id.parse(),
        command.message_id.parse(),
    );
    let (Ok(channel_id), Ok(chat_id), Ok(message_id)) = ids else {
        return;
    };
    let own = format!("{}/l/", app.public_url);
    for part in &mut command.parts {
        let Some(Content::Text(text)) = &mut part.content else {
            continue;
        };
        *text = shorten(text, |url| {
            // An agent may send a short link on.
            if url.starts_with(&own) {
                return None;
            }
            let code = code(app, message_id, url);
            links.push(ShortLink {
                code: code.clone(),
                account: entry.account.to_string(),
                channel_id,
                chat_id,
                message_id,
                url: url.to_owned(),
            });
            Some(format!("{own}{code}"))
        });
    }
}

/// One link of a message, one code: not to be guessed, and the same when the message comes again.
fn code(app: &App, message: Uuid, url: &str) -> String {
    let signature = app.sealer.sign("short-link", &format!("{message}\n{url}"));
    URL_SAFE_NO_PAD.encode(signature.get(..CODE).unwrap_or(&signature))
}

/// Returns where a code leads.
pub async fn find(app: &App, code: &str) -> Result<Option<ShortLink>, Error> {
    let mut connection = app.pool.acquire().await?;
    Ok(short_links::find(&mut connection, code).await?)
}

/// Notes that a visitor followed a link; the first time is told. Of one who is not known it is asked whether they may be
/// another person.
pub async fn clicked(
    app: &App,
    link: &ShortLink,
    visitor: Uuid,
    admit: impl FnOnce() -> bool + Send,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let account = AccountSlug::parse(&link.account).map_err(unreadable)?;
    let mut tx = app.pool.begin().await?;
    if short_links::is_known(&mut tx, &link.code, visitor).await? {
        return Ok(());
    }
    let admitted = admit();
    if !short_links::count(&mut tx, &link.code, visitor, admitted, now).await? {
        tx.commit().await?;
        return Ok(());
    }
    let event = LinkClicked {
        channel_id: link.channel_id.to_string(),
        chat_id: link.chat_id.to_string(),
        message_id: link.message_id.to_string(),
        url: link.url.clone(),
        visitor_id: visitor.to_string(),
        time: Some(timestamp(now)),
    };
    let event = Outgoing::new(&account, link.chat_id, &event);
    outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
    tx.commit().await?;
    app.relay.wake();
    Ok(())
}
