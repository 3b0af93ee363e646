//! Deliveries as events.

use chassis::grpc::timestamp;
use chassis::outbox::Outgoing;
use chassis::trace::TraceContext;
use switchboard_proto::DomainEvent;
use switchboard_proto::channel_gateway::v1::{
    DeliveryCancelled, DeliveryDelivered, DeliveryFailed, DeliveryRead, DeliveryRef, DeliverySent,
    DeliveryUncertain, RecipientRefusal,
};
use time::OffsetDateTime;

use crate::domain::delivery::PartState;
use crate::error::Error;
use crate::store::attempts::SettledPart;

/// What an event adds to a settled part.
#[derive(Debug, Clone, Copy, Default)]
pub struct Note<'a> {
    /// A sentence that an agent can read.
    pub detail: &'a str,
    /// A later retry may succeed.
    pub retryable: bool,
    /// Keys of all messages that the provider made of the part, in order, where it was sent.
    pub provider_keys: &'a [String],
    /// Recipients that were refused while others were accepted.
    pub refused: &'a [RecipientRefusal],
}

/// Makes the event of a part whose state changed.
pub fn settled(
    part: &SettledPart,
    note: &Note<'_>,
    now: OffsetDateTime,
) -> Result<Option<Outgoing>, Error> {
    let delivery = Some(DeliveryRef {
        message_id: part.message_id.to_string(),
        chat_id: part.chat_id.to_string(),
        channel_id: part.channel_id.to_string(),
        out_seq: part.out_seq,
        attempt: part.attempt,
        part: part.part,
        parts: part.parts,
    });
    let time = Some(timestamp(now));
    let state = PartState::try_from(part.state.as_str()).map_err(crate::store::unreadable)?;
    match state {
        PartState::Sent => {
            let provider_key = part.provider_key.clone();
            outgoing(
                part,
                &DeliverySent {
                    delivery,
                    provider_keys: keys(note, &provider_key),
                    provider_key,
                    time,
                    refused: note.refused.to_vec(),
                },
            )
            .map(Some)
        }
        PartState::Failed => {
            let (reason, detail) = (part.reason.clone(), note.detail.to_owned());
            outgoing(
                part,
                &DeliveryFailed {
                    delivery,
                    reason,
                    detail,
                    retryable: note.retryable,
                    time,
                },
            )
            .map(Some)
        }
        PartState::Uncertain => outgoing(
            part,
            &DeliveryUncertain {
                delivery,
                detail: note.detail.to_owned(),
                time,
            },
        )
        .map(Some),
        PartState::Delivered => outgoing(part, &DeliveryDelivered { delivery, time }).map(Some),
        PartState::Read => outgoing(part, &DeliveryRead { delivery, time }).map(Some),
        PartState::Cancelled => outgoing(part, &DeliveryCancelled { delivery, time }).map(Some),
        PartState::Queued | PartState::Sending => Ok(None),
    }
}

/// The keys of what was sent, the part's own first where nothing else is known.
fn keys(note: &Note<'_>, first: &str) -> Vec<String> {
    if note.provider_keys.is_empty() && !first.is_empty() {
        return vec![first.to_owned()];
    }
    note.provider_keys.to_vec()
}

fn outgoing(part: &SettledPart, event: &impl DomainEvent) -> Result<Outgoing, Error> {
    let account =
        chassis::id::AccountSlug::parse(&part.account).map_err(crate::store::unreadable)?;
    // The command's trace goes on: one trace shows the agent's answer until it is sent.
    Ok(Outgoing::new(&account, part.chat_id, event)
        .cause(part.cause)
        .trace(TraceContext::parse(&part.trace)))
}
