//! Positions of consumers, set back.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::nats::Nats;

/// The broker's code for a consumer that does not exist.
const NO_CONSUMER: u64 = 10_014;

#[derive(Serialize)]
struct Reset {
    seq: u64,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Has a durable deliver again from a sequence on. One that does not exist begins with the stream anyway.
pub(super) async fn back(
    nats: &Nats,
    stream: &str,
    durable: &str,
    sequence: u64,
) -> anyhow::Result<()> {
    let subject = format!("CONSUMER.RESET.{stream}.{durable}");
    let request = Reset {
        seq: sequence.max(1),
    };
    let answer: Answer = nats.jetstream.request(subject, &request).await?;
    match answer.error {
        None => {
            println!("  {durable} on {stream} begins again at {}", request.seq);
            Ok(())
        }
        Some(refused) if refused.err_code == NO_CONSUMER => Ok(()),
        Some(refused) => bail!(
            "{stream}: the position of {durable} cannot be set back to {}: {}",
            request.seq,
            refused.description
        ),
    }
}
