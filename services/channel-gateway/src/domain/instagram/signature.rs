//! Who may call the webhook: Meta signs every body, and proves itself once with a token (channels.md §4.1).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Tells whether one of the secrets signed these bytes. `header` is `X-Hub-Signature-256`.
///
/// An app has two secrets, its own and the one of its Instagram product, and which of them signs is not documented for
/// every kind of connection: each is tried. An empty secret signs nothing.
pub fn verify(secrets: &[&[u8]], raw: &[u8], header: &str) -> bool {
    let Some(tag) = header
        .strip_prefix("sha256=")
        .filter(|tag| tag.len() == 64)
        .and_then(|tag| hex::decode(tag).ok())
    else {
        return false;
    };
    let signed = secrets.iter().filter(|secret| !secret.is_empty());
    // All are tried, so that time does not tell which one it was.
    signed.fold(false, |found, secret| {
        let signs = Hmac::<Sha256>::new_from_slice(secret)
            .is_ok_and(|mac| mac.chain_update(raw).verify_slice(&tag).is_ok());
        found | signs
    })
}

/// Returns the challenge to answer with, where a request for the webhook's address is Meta's own: it knows the token
/// that was entered there. Nothing but letters, digits, `-` and `_` is echoed.
pub fn challenge(mode: &str, token: &str, challenge: &str, expected: &[u8]) -> Option<String> {
    let known: bool = token.as_bytes().ct_eq(expected).into();
    let plain = (1..=256).contains(&challenge.len())
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (mode == "subscribe" && known && !expected.is_empty() && plain).then(|| challenge.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"instagram","entry":[]}"#;

    fn sign(secret: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        let tag = mac.chain_update(BODY).finalize().into_bytes();
        format!("sha256={}", hex::encode(tag))
    }

    #[test]
    fn a_body_is_signed_by_either_secret_or_it_is_not_metas() {
        let (app, product): (&[u8], &[u8]) = (b"app-secret", b"product-secret");
        let good = sign(app);
        for (name, secrets, raw, header, expected) in [
            ("the app's", vec![app], BODY, good.clone(), true),
            (
                "the second of two",
                vec![product, app],
                BODY,
                good.clone(),
                true,
            ),
            ("another's", vec![product], BODY, good.clone(), false),
            ("no secret", vec![], BODY, good.clone(), false),
            (
                "an empty secret",
                vec![b"".as_slice()],
                BODY,
                sign(b""),
                false,
            ),
            ("another body", vec![app], &BODY[1..], good.clone(), false),
            ("upper case", vec![app], BODY, good.to_uppercase(), false),
            ("no prefix", vec![app], BODY, good[7..].to_owned(), false),
            ("SHA-1", vec![app], BODY, "sha1=00".to_owned(), false),
            ("cut", vec![app], BODY, good[..60].to_owned(), false),
            ("nothing", vec![app], BODY, String::new(), false),
        ] {
            assert_eq!(verify(&secrets, raw, &header), expected, "{name}");
        }
    }

    #[test]
    fn the_signature_is_the_one_that_other_tools_make() {
        // printf '{"a":1}' | openssl dgst -sha256 -hmac key
        let header = "sha256=88a67f24bbcdaed0e6c997404bb79a743baf44c6bab2f4c27328e3009d22e342";
        assert!(verify(&[b"key".as_slice()], br#"{"a":1}"#, header));
    }

    #[test]
    fn a_challenge_is_answered_to_who_knows_the_token() {
        for (mode, token, given, expected_token, expected) in [
            ("subscribe", "t-1", "1158201444", "t-1", Some("1158201444")),
            ("subscribe", "t-2", "1158201444", "t-1", None),
            ("subscribe", "", "1158201444", "", None),
            ("unsubscribe", "t-1", "1158201444", "t-1", None),
            ("subscribe", "t-1", "<script>", "t-1", None),
            ("subscribe", "t-1", "", "t-1", None),
        ] {
            let answer = challenge(mode, token, given, expected_token.as_bytes());
            assert_eq!(answer.as_deref(), expected, "{mode} {token} {given}");
        }
    }
}
