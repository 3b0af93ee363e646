//! The signature of a callback: it tells that Viber wrote it, and nobody else.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Length of an HMAC-SHA256 in bytes.
const LENGTH: usize = 32;

/// Tells whether `X-Viber-Content-Signature` is the hexadecimal HMAC-SHA256 of the body as it came, keyed by the bot's
/// token (channels.md §3.1). Compared in constant time, before anything of the body is read.
pub fn verify(token: &[u8], raw: &[u8], header: &[u8]) -> bool {
    let mut signature = [0_u8; LENGTH];
    // Anybody can sign with an empty key.
    if token.is_empty() || hex::decode_to_slice(header, &mut signature).is_err() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token) else {
        return false;
    };
    mac.update(raw);
    mac.verify_slice(&signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(token: &[u8], raw: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(token).unwrap();
        mac.update(raw);
        hex::encode(mac.finalize().into_bytes())
    }

    #[test]
    fn only_the_hash_of_these_very_bytes_under_this_very_token_is_believed() {
        let (token, raw) = (
            b"4453b6ac12345678-e02c5f12174805f9".as_slice(),
            b"{\"event\":\"webhook\"}".as_slice(),
        );
        let right = signed(token, raw);
        for (name, token, raw, header, expected) in [
            ("right", token, raw, right.clone(), true),
            (
                "another body",
                token,
                b"{\"event\": \"webhook\"}".as_slice(),
                right.clone(),
                false,
            ),
            (
                "another token",
                b"4453b6ac".as_slice(),
                raw,
                right.clone(),
                false,
            ),
            ("none", token, raw, String::new(), false),
            ("shortened", token, raw, right[..62].to_owned(), false),
            ("lengthened", token, raw, format!("{right}00"), false),
            (
                "with a prefix",
                token,
                raw,
                format!("sha256={right}"),
                false,
            ),
            ("no hexadecimal", token, raw, "z".repeat(64), false),
            (
                "an empty token signs nothing",
                b"".as_slice(),
                raw,
                signed(b"", raw),
                false,
            ),
        ] {
            assert_eq!(verify(token, raw, header.as_bytes()), expected, "{name}");
        }
        assert!(!verify(token, raw, &[0xff; 64]));
    }
}
