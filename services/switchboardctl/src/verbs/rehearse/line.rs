//! The line of a rehearsal: its token, and what a customer writes by it. The gateway takes a token of this form for nobody's, asks
//! no provider about it, and believes what is signed with it (`ViberBotCredentials.token` of the contract).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

/// A line, under a token that was made for one rehearsal.
pub(super) struct Line {
    channel: Uuid,
    token: String,
}

impl Line {
    /// The line of a channel with a new token.
    pub fn new(channel: Uuid, secret: &[u8; 32]) -> Self {
        let token = format!("rehearsal-{channel}-{}", hexadecimal(secret));
        Self { channel, token }
    }

    /// What signs it in.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What a customer writes, as Viber would tell it, and its signature. The customer is the same in all rehearsals of a channel.
    pub fn written(&self, text: &str, number: u64, milliseconds: i64) -> (Vec<u8>, String) {
        let body = json!({
            "event": "message",
            "timestamp": milliseconds,
            "message_token": number,
            "sender": {
                "id": STANDARD.encode(self.channel.as_bytes()), "name": super::NAME, "language": "en", "country": "UA",
                "api_version": 10,
            },
            "message": { "type": "text", "text": text },
        });
        let body = body.to_string().into_bytes();
        // A key of any length is one.
        let signature = Hmac::<Sha256>::new_from_slice(self.token.as_bytes())
            .map(|mac| hexadecimal(&mac.chain_update(&body).finalize().into_bytes()))
            .unwrap_or_default();
        (body, signature)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a text does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o105_a_rehearsals_token_has_its_form_and_what_is_written_is_signed_with_it() {
        let line = Line::new(Uuid::nil(), &[0xab; 32]);
        let expected = format!("rehearsal-{}-{}", Uuid::nil(), "ab".repeat(32));
        assert_eq!(line.token(), expected);
        let (body, signature) = line.written("hello", 7, 1_700_000_000_000);
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(told["message"]["text"], "hello");
        assert_eq!(told["message_token"], 7);
        assert_eq!(signature.len(), 64);
        let (_, other) = Line::new(Uuid::nil(), &[0xac; 32]).written("hello", 7, 1_700_000_000_000);
        assert_ne!(signature, other, "another token signs otherwise");
        assert_eq!(line.written("hello", 7, 1_700_000_000_000).1, signature);
    }
}
