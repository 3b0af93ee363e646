//! One attempt: a call to the provider of the chat's channel, and what became of it. No transaction is open meanwhile.

mod meta;
mod post;

use std::time::Duration;

use chassis::clock;
use rand::Rng as _;
use secrecy::SecretString;
use serde_json::Value;
use switchboard_proto::channel_gateway::v1::RecipientRefusal;
use uuid::Uuid;

use super::App;
use super::book::{Found, Known};
use super::claim::Work;
use super::line;
use super::settle::Outcome;
use crate::domain::backoff;
use crate::domain::call::{self, Amendment, Call};
use crate::domain::channel::{ChannelKind, ChannelState};
use crate::domain::credentials::{self, Credentials};
use crate::domain::refusal::{Class, Refusal};
use crate::domain::telegram::upload::Wanted;
use crate::domain::{email, instagram, smtp, telegram, viber};
use crate::error::Error;
use crate::provider::CallError;
use crate::provider::telegram::Upload;

/// Attempts of a command after which a chat that moved once more is taken for going round in circles.
const MOVED_MAX: i32 = 5;

/// A file of the message is not in the store.
const FILE_MISSING: Refusal = Refusal {
    reason: "FILE_MISSING",
    detail: "A file of the message does not exist here, or was never uploaded.",
    retryable: false,
};

/// A file needs longer than a chat is held for one attempt.
const FILE_TOO_SLOW: Refusal = Refusal {
    reason: "FILE_TOO_LARGE",
    detail: "The files of the message are too large to be sent in the time that one attempt may take.",
    retryable: false,
};

/// What a provider said to a call.
enum Answered {
    /// It took the message, under these keys.
    Sent(Vec<String>),
    /// It took the mail under this key, but not for all recipients.
    SentInPart(String, Vec<RecipientRefusal>),
    /// It took a piece of the message, under this key; this call is for the rest.
    Piece(String, Call),
    /// It takes the message otherwise: this call at once.
    Otherwise(Call),
    /// It was not reached: the call was not carried out.
    NotReached,
    /// Nobody knows whether the call was carried out.
    Unknown(String),
    /// It refused, which means this.
    Refused(Class),
}

/// Makes one attempt and says what became of it.
pub(super) async fn make(app: &App, work: &Work, max_age: Duration) -> Outcome {
    let max_age = if work.part.method == email::plan::SEND {
        // Servers that put mails off do so for a day and longer (channels.md §5.3).
        max_age.max(app.post.max_age)
    } else {
        max_age
    };
    let now = clock::now();
    // Nothing ages while it is paused.
    let freed = app.pauses.freed(work.channel_id, &work.account, now);
    let waited_since = freed.map_or(work.part.queued_at, |freed| freed.max(work.part.queued_at));
    if waited_since + max_age < now {
        return failed(Refusal {
            reason: "PROVIDER_UNAVAILABLE",
            detail: "The provider could not be reached for too long.",
            retryable: true,
        });
    }
    let mut found = app.book.find(work.channel_id).await;
    if matches!(&found, Found::Known(known) if known.state != ChannelState::Enabled) {
        found = app.book.find_fresh(work.channel_id).await;
    }
    let known = match found {
        Found::Known(known) if known.account.as_str() == work.account => known,
        Found::Known(_) | Found::Unknown => {
            return failed(Refusal {
                reason: "CHANNEL_UNKNOWN",
                detail: "The channel does not exist any more.",
                retryable: false,
            });
        }
        Found::Away => return again(work, Duration::from_secs(1)),
    };
    match known.state {
        ChannelState::Enabled => {}
        ChannelState::Disconnected if known.is_forgotten() => return failed(line::NOT_CONNECTED),
        ChannelState::Disconnected => return failed(disconnected(known.kind)),
        ChannelState::Disabled => {
            return failed(Refusal {
                reason: "CHANNEL_DISABLED",
                detail: "The channel is switched off.",
                retryable: true,
            });
        }
    }
    // Whoever takes the chat when the lease has ended calls this attempt uncertain, and sends what follows.
    if clock::now() + call_timeout(app, known.kind) >= work.lease_until {
        return again(work, Duration::ZERO);
    }
    let call = Call {
        method: work.part.method.clone(),
        params: work.part.params.clone(),
    };
    let answered = match &known.access {
        Credentials::Telegram(token) => by_telegram(app, token, work, &call).await,
        Credentials::Viber(bot) => by_viber(app, &known, bot, work, &call).await,
        Credentials::Instagram(profile) => meta::send(app, profile, work, &call).await,
        Credentials::Email(mailbox) => post::send(app, &known, mailbox, work, &call).await,
        Credentials::Forgotten(_) => return failed(line::NOT_CONNECTED),
    };
    match answered {
        Answered::Sent(provider_keys) => Outcome::Sent {
            provider_keys,
            refused: Vec::new(),
        },
        Answered::SentInPart(key, refused) => Outcome::Sent {
            provider_keys: vec![key],
            refused,
        },
        Answered::Piece(provider_key, call) => Outcome::Further { provider_key, call },
        Answered::Otherwise(call) => Outcome::Again {
            wait: Duration::ZERO,
            flood: false,
            call,
            chat_key: None,
        },
        Answered::NotReached => again(work, wait(work)),
        Answered::Unknown(detail) => Outcome::Uncertain { detail },
        Answered::Refused(class) => {
            if matches!(class, Class::Disconnected(_))
                && let Found::Known(fresh) = app.book.find_fresh(work.channel_id).await
                && fresh.credentials != known.credentials
            {
                // Another replica stored new ones: the refusal says nothing of them.
                return again(work, Duration::ZERO);
            }
            judge(work, &known, &call, class)
        }
    }
}

fn call_timeout(app: &App, kind: ChannelKind) -> Duration {
    match kind {
        ChannelKind::ViberBot => app.viber.call_timeout(),
        ChannelKind::Instagram => app.graph.call_timeout(),
        ChannelKind::Email => app.post.limit,
        ChannelKind::TelegramBot => app.bots.call_timeout(),
    }
}

async fn by_telegram(app: &App, token: &SecretString, work: &Work, call: &Call) -> Answered {
    let mut body = telegram::call::body(call, &work.chat_key);
    let wanted = telegram::upload::attach(&mut body);
    let called = if wanted.is_empty() {
        app.bots.call(token, &call.method, &body).await
    } else {
        let mut uploads = Vec::with_capacity(wanted.len());
        for file in wanted {
            match upload(app, work, file).await {
                Ok(upload) => uploads.push(upload),
                Err(answered) => return answered,
            }
        }
        let length = uploads.iter().map(|upload| upload.length).sum();
        if clock::now() + app.bots.upload_timeout(length) >= work.lease_until {
            return Answered::Refused(Class::Refused(FILE_TOO_SLOW));
        }
        app.bots
            .call_with_files(token, &call.method, &body, uploads)
            .await
    };
    match called {
        Ok(result) => Answered::Sent(telegram::call::provider_keys(&result, &work.chat_key)),
        Err(error) => refused(error, |error| {
            tracing::info!(code = error.code, description = error.description, channel.id = %work.channel_id, "call refused");
            telegram::errors::classify(&error)
        }),
    }
}

async fn by_viber(
    app: &App,
    known: &Known,
    bot: &credentials::Viber,
    work: &Work,
    call: &Call,
) -> Answered {
    let mut body = viber::call::body(call, &work.chat_key);
    if let Err(answered) = link_files(app, work, &mut body).await {
        return answered;
    }
    match app.viber.call(&bot.token, &call.method, &body).await {
        Ok(answer) => Answered::Sent(viber::call::provider_key(&answer).into_iter().collect()),
        Err(CallError::Refused(error)) if error.webhook_lost() => {
            // Without a webhook Viber takes nothing: it is set again, and the message goes after that.
            if let Err(error) = line::listen(app, known.id, &known.access, &known.secret).await {
                tracing::warn!(%error, channel.id = %known.id, "a lost webhook could not be set again");
            }
            Answered::Refused(Class::Outage)
        }
        Err(error) => refused(error, |error| {
            tracing::info!(status = error.status, message = error.message, channel.id = %work.channel_id, "call refused");
            viber::errors::classify(&error)
        }),
    }
}

/// Puts links in the place of files, for providers that fetch them.
async fn link_files(app: &App, work: &Work, body: &mut Value) -> Result<(), Answered> {
    for id in call::files(body) {
        let Ok(file) = id.parse::<Uuid>() else {
            return Err(Answered::Refused(Class::Refused(FILE_MISSING)));
        };
        let link = app
            .files
            .provider_link(&app.pool, &work.account, file, clock::now())
            .await;
        call::put_link(body, &id, &link.map_err(no_file)?);
    }
    Ok(())
}

/// Opens a file that goes along with a call.
async fn upload(app: &App, work: &Work, wanted: Wanted) -> Result<Upload, Answered> {
    let Ok(id) = wanted.attachment_id.parse::<Uuid>() else {
        return Err(Answered::Refused(Class::Refused(FILE_MISSING)));
    };
    let opened = app.files.open(&app.pool, &work.account, id).await;
    let (row, bytes) = opened.map_err(no_file)?;
    Ok(Upload {
        field: wanted.field,
        name: telegram::upload::safe_name(&row.file_name),
        media_type: row.media_type,
        body: reqwest::Body::wrap_stream(bytes),
        length: u64::try_from(row.size).unwrap_or(0),
    })
}

/// What a file that cannot be opened means: gone for good, or the store does not answer now.
fn no_file(error: Error) -> Answered {
    match error {
        Error::NotFound(_) => Answered::Refused(Class::Refused(FILE_MISSING)),
        error => {
            tracing::warn!(%error, "a file could not be opened for sending");
            Answered::NotReached
        }
    }
}

fn refused<E: std::fmt::Debug>(error: CallError<E>, classify: impl FnOnce(E) -> Class) -> Answered {
    match error {
        CallError::Refused(error) => Answered::Refused(classify(error)),
        CallError::NotReached => Answered::NotReached,
        CallError::Unknown(detail) => Answered::Unknown(detail),
    }
}

/// Turns a refusal into an outcome.
fn judge(work: &Work, known: &Known, call: &Call, class: Class) -> Outcome {
    let refused = || {
        failed(Refusal {
            reason: "MESSAGE_REFUSED",
            detail: "The provider refused the message.",
            retryable: false,
        })
    };
    let amended = |amendment| match amended(known.kind, call, amendment) {
        Some(call) => Outcome::Again {
            wait: Duration::ZERO,
            flood: false,
            call,
            chat_key: None,
        },
        None => refused(),
    };
    match class {
        Class::AlreadySo => Outcome::Sent {
            provider_keys: Vec::new(),
            refused: Vec::new(),
        },
        Class::Flood(wait) | Class::ChatFlood(wait) => Outcome::Again {
            wait,
            flood: matches!(class, Class::Flood(_)),
            call: call.clone(),
            chat_key: None,
        },
        // Mail servers are tried for hours, not for seconds (channels.md §5.3).
        Class::Outage if known.kind == ChannelKind::Email => again(
            work,
            smtp::wait(u32::try_from(work.part.tries).unwrap_or(0))
                .mul_f64(rand::rng().random_range(0.9..1.1)),
        ),
        Class::Outage if known.kind == ChannelKind::Instagram => {
            match instagram::call::after_outage(call) {
                Some((wait, call)) => Outcome::Again {
                    wait: wait.mul_f64(rand::rng().random_range(0.9..1.1)),
                    flood: false,
                    call,
                    chat_key: None,
                },
                None => failed(instagram::errors::OUT_OF_ORDER),
            }
        }
        Class::Outage => again(work, wait(work)),
        // A chat that moved to where it is, or to and fro, would go round in circles.
        Class::Moved(chat) if chat != work.chat_key && work.part.tries < MOVED_MAX => {
            Outcome::Again {
                wait: Duration::ZERO,
                flood: false,
                call: call.clone(),
                chat_key: Some(chat),
            }
        }
        Class::Moved(_) => refused(),
        Class::WithoutReply => amended(Amendment::WithoutReply),
        Class::Plain => amended(Amendment::Plain),
        Class::AsDocument => amended(Amendment::AsDocument),
        Class::Refused(refusal) => failed(refusal),
        Class::Paused(refusal) => Outcome::Paused {
            refusal,
            call: call.clone(),
        },
        Class::Disconnected(refusal) => Outcome::Failed {
            reason: refusal.reason.to_owned(),
            detail: refusal.detail.to_owned(),
            retryable: refusal.retryable,
            disconnect: Some(known.credentials),
        },
    }
}

fn amended(kind: ChannelKind, call: &Call, amendment: Amendment) -> Option<Call> {
    match kind {
        ChannelKind::TelegramBot => telegram::call::amended(call, amendment),
        ChannelKind::Instagram => instagram::call::amended(call, amendment),
        ChannelKind::ViberBot | ChannelKind::Email => None,
    }
}

/// The refusal of everything while a channel's credentials are refused.
fn disconnected(kind: ChannelKind) -> Refusal {
    match kind {
        ChannelKind::TelegramBot => telegram::errors::CREDENTIALS_REFUSED,
        ChannelKind::ViberBot => viber::errors::CREDENTIALS_REFUSED,
        ChannelKind::Instagram | ChannelKind::Email => Refusal {
            reason: "CREDENTIALS_REFUSED",
            detail: "The channel's credentials are refused: an administrator must connect it anew.",
            retryable: true,
        },
    }
}

fn failed(refusal: Refusal) -> Outcome {
    Outcome::Failed {
        reason: refusal.reason.to_owned(),
        detail: refusal.detail.to_owned(),
        retryable: refusal.retryable,
        disconnect: None,
    }
}

fn again(work: &Work, wait: Duration) -> Outcome {
    Outcome::Again {
        wait,
        flood: false,
        call: Call {
            method: work.part.method.clone(),
            params: work.part.params.clone(),
        },
        chat_key: None,
    }
}

fn wait(work: &Work) -> Duration {
    backoff::wait(
        u32::try_from(work.part.tries).unwrap_or(0),
        rand::rng().random(),
    )
}
