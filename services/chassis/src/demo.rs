//! Secrets that anybody can read: those that stand in this repository, for demonstrations, tests and examples, and keys that
//! nobody made. Where customers write, a service that is given one does not start (O1.12); `auth.demo_secrets` lets them through.

/// Texts that stand for secrets in stand-ins, tests and documentation.
const TEXTS: [&str; 4] = ["app-secret", "password", "secret", "verify-token"];

/// How the secrets of a local start begin.
const PREFIX: &str = "local-demo-";

/// Public halves of signing keys whose private halves are public too, as `x` of a JSON Web Key: of RFC 8037, A.1, and of the
/// tests. Whoever believes one believes tokens that anybody can make.
const SIGNING_KEYS: [&str; 4] = [
    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
    "E5j2LG0aRXxRumpLXz29L2n8qTIWIY3ImX5Ba9F9k8o",
    "_RckOFqgx1tk-3jNYC-h2ZH96_drE8WO1wLqyDXp9hg",
];

/// What to say of such a secret, behind the key that names it.
pub const REFUSED: &str = "is a secret that anybody can read in Switchboard's repository: give the installation one of its own, \
                           or set auth.demo_secrets = true where no customer writes";

/// Tells whether a text is a secret of a demonstration, a test or an example.
pub fn is_known(secret: &str) -> bool {
    secret.starts_with(PREFIX) || TEXTS.contains(&secret)
}

/// Tells whether an address, or one of several behind commas, carries such a secret as its password.
pub fn is_known_in(address: &str) -> bool {
    address.split(',').filter_map(password).any(is_known)
}

fn password(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

/// Tells whether a key that tokens are checked with (`x` of its JSON Web Key) has a private half that anybody can read.
pub fn is_known_signing_key(x: &str) -> bool {
    SIGNING_KEYS.contains(&x.trim_end_matches('='))
}

/// Tells whether a sealing key was typed and not made: all its bytes are the same, as those of tests.
pub fn is_known_sealing_key(key: &[u8]) -> bool {
    key.iter().all(|byte| Some(byte) == key.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked = fn(&str) -> bool;

    #[test]
    fn o112_a_secret_of_the_repository_is_known_and_ones_own_is_not() {
        let own = "3f9a61c0de5b4a7c8e21d0b7a4f6c955";
        let cases: [(&str, bool, Asked); 14] = [
            ("local-demo-app-secret", true, is_known),
            ("local-demo-", true, is_known),
            ("app-secret", true, is_known),
            ("verify-token", true, is_known),
            (own, false, is_known),
            ("", false, is_known),
            ("my-local-demo-secret", false, is_known),
            ("postgres://user:password@host:5432/db", true, is_known_in),
            (
                "nats://a:own@h:4222,nats://b:secret@h:4222",
                true,
                is_known_in,
            ),
            (
                "postgres://user:p3f9a61c0de5b4a7c@host/password",
                false,
                is_known_in,
            ),
            (
                "postgres://postgres@127.0.0.1/x?password",
                false,
                is_known_in,
            ),
            ("postgres://password@host/x", false, is_known_in),
            (
                "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                true,
                is_known_signing_key,
            ),
            (
                "21qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                false,
                is_known_signing_key,
            ),
        ];
        for (given, known, asked) in cases {
            assert_eq!(asked(given), known, "{given}");
        }
        let mut key = [7; 32];
        assert!(is_known_sealing_key(&key));
        key[31] = 8;
        assert!(!is_known_sealing_key(&key));
    }

    #[test]
    fn o112_the_keys_of_our_own_tests_are_known() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        for seed in [7, 8, 9] {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
            let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            assert!(is_known_signing_key(&x), "{seed}: {x}");
        }
    }
}
