//! Lines of rehearsals (O1.5): a token of this form is of no bot that Viber knows. What is signed with it comes in as any other
//! message; nothing is asked of a provider for it, and nothing goes out. So a whole installation can be tried, from a signed webhook
//! to the agent, where no provider can be reached and none should be troubled.

use serde_json::{Value, json};
use uuid::Uuid;

use super::errors::ApiError;

/// How such a token begins: then the line's id (UUID) and, behind a hyphen, 32 random bytes in hexadecimal.
const PREFIX: &str = "rehearsal-";

/// Characters of 32 bytes in hexadecimal: whoever knows fewer could write in a customer's place.
const SECRET: usize = 64;

/// Of what Viber refuses for good: so what somebody sends there is told as failed.
const REFUSED: u64 = 16;

/// Returns the line of a token, where it is a rehearsal's.
pub fn line(token: &str) -> Option<Uuid> {
    let rest = token.strip_prefix(PREFIX)?;
    let (line, secret) = rest.rsplit_once('-')?;
    let made = secret.len() == SECRET && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    made.then(|| Uuid::try_parse(line).ok()).flatten()
}

/// Answers a call in Viber's place; none where the token may be Viber's.
pub fn answer(token: &str, method: &str) -> Option<Result<Value, ApiError>> {
    let line = line(token)?;
    Some(match method {
        "get_account_info" => {
            Ok(json!({ "status": 0, "id": format!("{PREFIX}{line}"), "name": "rehearsal" }))
        }
        "set_webhook" => Ok(json!({ "status": 0 })),
        _ => Err(ApiError {
            status: Some(REFUSED),
            message: "a rehearsal's line reaches nobody".to_owned(),
            ..ApiError::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::Class;
    use crate::domain::viber::errors::classify;

    const LINE: &str = "0195d3c0-0000-7000-8000-00000000c001";

    #[test]
    fn o105_only_a_token_of_the_whole_form_is_a_rehearsals() {
        let secret = "0f".repeat(32);
        let whole = format!("rehearsal-{LINE}-{secret}");
        for (token, known) in [
            (whole.as_str(), true),
            (&whole[1..], false),
            (&whole[..whole.len() - 1], false),
            (&format!("{whole}0"), false),
            (&format!("rehearsal-{secret}"), false),
            (&format!("rehearsal-x-{secret}"), false),
            (&whole.replace("0f", "zz"), false),
            ("4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3", false),
            ("", false),
        ] {
            assert_eq!(line(token).is_some(), known, "{token}");
            assert_eq!(answer(token, "set_webhook").is_some(), known, "{token}");
        }
        assert_eq!(line(&whole), LINE.parse().ok());
    }

    #[test]
    fn o105_a_rehearsals_line_is_accepted_and_sends_nothing() {
        let token = format!("rehearsal-{LINE}-{}", "0f".repeat(32));
        let info = answer(&token, "get_account_info").unwrap().unwrap();
        assert_eq!(info["id"], format!("rehearsal-{LINE}"));
        assert!(answer(&token, "set_webhook").unwrap().is_ok());
        for method in ["send_message", "get_user_details"] {
            let refused = answer(&token, method).unwrap().unwrap_err();
            assert!(matches!(classify(&refused), Class::Refused(_)), "{method}");
        }
    }
}
