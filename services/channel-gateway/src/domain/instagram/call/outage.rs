//! How often a call is repeated that Meta said it could not carry out (channels.md §4.4): three times, and no more, for
//! the same answer means that the customer has blocked the account. What never reached Meta is not counted.

use std::time::Duration;

use serde_json::json;

use crate::domain::call::Call;
use crate::domain::value;

/// The field of a call's parameters that holds how often Meta could not carry it out.
pub(super) const OUTAGES: &str = "$outages";

/// The waits before the tries after the first: longer than what passes at once lasts.
const WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// Returns the call to be made after one more outage, and how long to wait before; none where it was tried often enough.
pub fn after_outage(call: &Call) -> Option<(Duration, Call)> {
    let outages = value::int(&call.params, OUTAGES).unwrap_or(0);
    let wait = WAITS.get(usize::try_from(outages).ok()?)?;
    let mut call = call.clone();
    call.params
        .as_object_mut()?
        .insert(OUTAGES.to_owned(), json!(outages + 1));
    Some((*wait, call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instagram::call::{MESSAGES, body};

    #[test]
    fn a_call_that_meta_cannot_carry_out_is_repeated_three_times_as_it_was() {
        let first = Call {
            method: MESSAGES.to_owned(),
            params: json!({ "message": { "text": "a" } }),
        };
        let (mut call, mut waits) = (first.clone(), Vec::new());
        while let Some((wait, next)) = after_outage(&call) {
            waits.push(wait);
            assert_eq!(body(&next, "77"), body(&first, "77"));
            call = next;
        }
        assert_eq!(waits, WAITS);
    }
}
