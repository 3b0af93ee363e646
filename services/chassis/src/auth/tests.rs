use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::*;
use crate::access::AccessRecord;
use crate::config;
use crate::grpc::Gate;
use crate::id::{AccountSlug, AgentId};
use crate::testing::{Records, account, full_access};

const METHODS: &[Method] = &[
    Method {
        path: "/x/Read",
        scope: "chats:read|internal",
    },
    Method {
        path: "/x/Write",
        scope: "chats:write",
    },
    Method {
        path: "/x/Internal",
        scope: "internal",
    },
    Method {
        path: "/x/Ops",
        scope: "ops",
    },
];

/// An issuer with one key, and a gate that believes it.
struct World {
    key: SigningKey,
    file: tempfile::NamedTempFile,
    records: Records,
    gate: Gate,
}

fn agent() -> AgentId {
    Uuid::from_u128(1).into()
}

fn settings(jwks: &std::path::Path) -> config::Auth {
    config::Auth {
        jwks: jwks.display().to_string(),
        issuer: "issuer".into(),
        audience: "switchboard".into(),
        internal_token_file: "none".into(),
        // Its keys are made of a byte each.
        demo_secrets: true,
    }
}

fn jwk(kid: &str, key: &SigningKey) -> serde_json::Value {
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x })
}

fn sign(kid: &str, key: &SigningKey, claims: &serde_json::Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.into());
    let der = key.to_pkcs8_der().unwrap();
    encode(&header, claims, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
}

impl World {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = SigningKey::from_bytes(&[7; 32]);
        let file = tempfile::NamedTempFile::new().unwrap();
        // A key of a kind we do not know must not take the others away.
        let unknown = json!({ "kty": "future", "kid": "z" });
        std::fs::write(
            file.path(),
            json!({ "keys": [unknown, jwk("a", &key)] }).to_string(),
        )
        .unwrap();
        let records = Records::default();
        records.put(&account("acme"), full_access(agent()));
        let auth = settings(file.path());
        let jwks = Arc::new(Jwks::new(&auth.jwks, auth.demo_secrets).unwrap());
        let limits = config::Limits {
            burst: 3.try_into().unwrap(),
            requests_per_second_per_account: 1.try_into().unwrap(),
        };
        let verifier = Verifier::new(jwks, &auth);
        let gate = Gate::new(
            "test",
            METHODS,
            verifier,
            Arc::new(records.clone()),
            &limits,
        );
        Self {
            key,
            file,
            records,
            gate,
        }
    }

    fn token(&self, changes: serde_json::Value) -> String {
        sign("a", &self.key, &claims(changes))
    }

    async fn call(
        &self,
        path: &str,
        token: Option<&str>,
        metadata: &[(&'static str, &str)],
    ) -> Result<Option<Caller>, Status> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        for (name, value) in metadata {
            headers.insert(*name, value.parse().unwrap());
        }
        self.gate.admit(path, &headers).await
    }
}

/// The claims of an agent of acme who may read chats, with changes; null removes.
fn claims(changes: serde_json::Value) -> serde_json::Value {
    let now = crate::clock::now().unix_timestamp();
    let mut claims = json!({
        "iss": "issuer", "aud": "switchboard", "iat": now, "exp": now + 60,
        "sub": agent().to_string(), "kind": "agent", "account": "acme", "scope": "chats:read",
    });
    let changes: BTreeMap<String, serde_json::Value> = serde_json::from_value(changes).unwrap();
    for (name, value) in changes {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

fn reason(refused: Result<Option<Caller>, Status>) -> String {
    match refused {
        Ok(_) => "admitted".into(),
        Err(status) => status.get_details_error_info().unwrap().reason,
    }
}

#[tokio::test]
async fn only_tokens_with_our_signature_issuer_audience_and_time_are_believed() {
    let world = World::new();
    let now = crate::clock::now().unix_timestamp();
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let good = world.token(json!({}));
    let (head, _) = good.rsplit_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"a"}"#);
    let body = good.split('.').nth(1).unwrap();
    let public = world.key.verifying_key();
    let mut confused = Header::new(Algorithm::HS256);
    confused.kid = Some("a".into());
    let by_public_key = EncodingKey::from_secret(public.as_bytes());
    let cases = [
        ("good", Some(good.clone()), "admitted"),
        ("none", None, "TOKEN_MISSING"),
        ("empty", Some(String::new()), "TOKEN_MISSING"),
        ("garbage", Some("a.b.c".into()), "TOKEN_INVALID"),
        ("signature cut", Some(format!("{head}.")), "TOKEN_INVALID"),
        (
            "another key",
            Some(sign("a", &stranger, &claims(json!({})))),
            "TOKEN_INVALID",
        ),
        (
            "unknown key id",
            Some(sign("b", &stranger, &claims(json!({})))),
            "TOKEN_INVALID",
        ),
        ("unsigned", Some(format!("{none}.{body}.")), "TOKEN_INVALID"),
        (
            "signed with the public key",
            Some(encode(&confused, &claims(json!({})), &by_public_key).unwrap()),
            "TOKEN_INVALID",
        ),
        (
            "expired",
            Some(world.token(json!({ "exp": now - 60 }))),
            "TOKEN_EXPIRED",
        ),
        (
            "not yet valid",
            Some(world.token(json!({ "nbf": now + 60 }))),
            "TOKEN_INVALID",
        ),
        (
            "without expiry",
            Some(world.token(json!({ "exp": null }))),
            "TOKEN_INVALID",
        ),
        (
            "issuer",
            Some(world.token(json!({ "iss": "other" }))),
            "TOKEN_INVALID",
        ),
        (
            "audience",
            Some(world.token(json!({ "aud": "other" }))),
            "TOKEN_INVALID",
        ),
        (
            "several audiences",
            Some(world.token(json!({ "aud": ["x", "switchboard"] }))),
            "admitted",
        ),
        (
            "account malformed",
            Some(world.token(json!({ "account": "A*" }))),
            "TOKEN_INVALID",
        ),
        (
            "agent malformed",
            Some(world.token(json!({ "sub": "me" }))),
            "TOKEN_INVALID",
        ),
        (
            "kind",
            Some(world.token(json!({ "kind": "god" }))),
            "TOKEN_INVALID",
        ),
        ("too long", Some("x".repeat(9_000)), "TOKEN_INVALID"),
    ];
    for (name, token, expected) in cases {
        assert_eq!(
            reason(world.call("/x/Read", token.as_deref(), &[]).await),
            expected,
            "{name}"
        );
    }
}

/// Name, method, changes of the claims, metadata, and the reason of the refusal.
type Case<'a> = (
    &'a str,
    &'a str,
    serde_json::Value,
    &'a [(&'static str, &'a str)],
    &'a str,
);

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_token_opens_the_methods_of_its_scopes_in_its_account_only() {
    let service = json!({ "kind": "service", "sub": "importer" });
    let with = |extra: serde_json::Value| {
        let mut all = service.clone();
        all.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        all
    };
    let internal = with(json!({ "account": null, "scope": "internal" }));
    let ops = with(json!({ "account": null, "scope": "ops" }));
    let acme: &[(&str, &str)] = &[("switchboard-account", "acme")];
    let other: &[(&str, &str)] = &[("switchboard-account", "other")];
    let both = |agent: &str| {
        [
            ("switchboard-account", "acme".to_owned()),
            ("switchboard-agent", agent.to_owned()),
        ]
    };
    let (mine, nobody) = (
        both(&agent().to_string()),
        both(&Uuid::from_u128(99).to_string()),
    );
    let borrow = |pairs: &'_ [(&'static str, String); 2]| pairs.clone();
    let (mine, nobody) = (borrow(&mine), borrow(&nobody));
    let mine: Vec<_> = mine
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let nobody: Vec<_> = nobody
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let cases: &[Case<'_>] = &[
        ("scope held", "/x/Read", json!({}), &[], "admitted"),
        ("own account named", "/x/Read", json!({}), acme, "admitted"),
        (
            "other account named",
            "/x/Read",
            json!({}),
            other,
            "ACCOUNT_MISMATCH",
        ),
        (
            "agent of another account",
            "/x/Read",
            json!({ "account": "other" }),
            &[],
            "AGENT_INACTIVE",
        ),
        (
            "unknown agent",
            "/x/Read",
            json!({ "sub": Uuid::from_u128(9).to_string() }),
            &[],
            "AGENT_INACTIVE",
        ),
        (
            "no account",
            "/x/Read",
            json!({ "account": null }),
            &[],
            "ACCOUNT_MISMATCH",
        ),
        ("scope missing", "/x/Write", json!({}), &[], "SCOPE_MISSING"),
        (
            "family of scopes",
            "/x/Write",
            json!({ "scope": "crm:read chats:*" }),
            &[],
            "admitted",
        ),
        (
            "no scope",
            "/x/Read",
            json!({ "scope": "" }),
            &[],
            "SCOPE_MISSING",
        ),
        (
            "unknown method",
            "/x/Nothing",
            json!({}),
            &[],
            "METHOD_UNKNOWN",
        ),
        (
            "agent with internal",
            "/x/Internal",
            json!({ "scope": "internal" }),
            &[],
            "SCOPE_MISSING",
        ),
        (
            "agent with internal, no account",
            "/x/Internal",
            json!({ "scope": "internal", "account": null }),
            acme,
            "ACCOUNT_MISMATCH",
        ),
        (
            "account's service with internal",
            "/x/Internal",
            with(json!({ "scope": "internal" })),
            &[],
            "SCOPE_MISSING",
        ),
        ("service", "/x/Read", service.clone(), &[], "admitted"),
        (
            "service without account",
            "/x/Read",
            with(json!({ "account": null })),
            &[],
            "ACCOUNT_MISMATCH",
        ),
        (
            "service naming an account",
            "/x/Read",
            with(json!({ "account": null })),
            acme,
            "ACCOUNT_MISMATCH",
        ),
        (
            "internal for an account",
            "/x/Read",
            internal.clone(),
            acme,
            "admitted",
        ),
        (
            "internal for nobody",
            "/x/Read",
            internal.clone(),
            &[],
            "ACCOUNT_MISMATCH",
        ),
        (
            "internal only, for nobody",
            "/x/Internal",
            internal.clone(),
            &[],
            "admitted",
        ),
        (
            "internal for an agent",
            "/x/Read",
            internal.clone(),
            &mine,
            "admitted",
        ),
        (
            "internal for an unknown agent",
            "/x/Read",
            internal.clone(),
            &nobody,
            "AGENT_INACTIVE",
        ),
        (
            "internal does not write",
            "/x/Write",
            internal.clone(),
            acme,
            "SCOPE_MISSING",
        ),
        (
            "internal is no operator",
            "/x/Ops",
            internal.clone(),
            acme,
            "SCOPE_MISSING",
        ),
        ("operator", "/x/Ops", ops.clone(), &[], "admitted"),
        (
            "operator does not read",
            "/x/Read",
            ops.clone(),
            acme,
            "SCOPE_MISSING",
        ),
    ];
    for (name, path, changes, metadata, expected) in cases {
        // A world each: the rate is no part of this.
        let world = World::new();
        let token = world.token(changes.clone());
        assert_eq!(
            reason(world.call(path, Some(&token), metadata).await),
            *expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_caller_is_who_the_token_says_with_the_rights_of_the_record() {
    let world = World::new();
    let caller = world
        .call("/x/Read", Some(&world.token(json!({}))), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (caller.account().as_str(), caller.agent()),
        ("acme", Some(agent()))
    );
    assert_eq!(caller.subject(), &Subject::Agent(agent()));
    assert_eq!(caller.access(), Some(&full_access(agent())));
    assert!(
        !caller.is_internal()
            && caller.has_scope(Scope::CHATS_READ)
            && !caller.has_scope(Scope::OPS)
    );
    assert_eq!(
        caller.same_account("test", "other").unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(caller.same_account("test", "").unwrap(), &account("acme"));

    let internal =
        json!({ "kind": "service", "sub": "conversation", "account": null, "scope": "internal" });
    let token = world.token(internal);
    let id = agent().to_string();
    let named = [
        ("switchboard-account", "acme"),
        ("switchboard-agent", id.as_str()),
    ];
    let caller = world
        .call("/x/Read", Some(&token), &named)
        .await
        .unwrap()
        .unwrap();
    assert!(caller.is_internal());
    assert_eq!(caller.actor().to_string(), format!("agent:{id}"));
    assert_eq!(caller.access().map(|record| record.agent), Some(agent()));

    let caller = world
        .call("/x/Internal", Some(&token), &[])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (caller.account_opt(), caller.account().as_str()),
        (None, "")
    );
    assert_eq!(caller.actor().to_string(), "service:conversation");
}

#[tokio::test]
async fn inactive_agents_are_refused() {
    let world = World::new();
    world.records.put(
        &account("acme"),
        AccessRecord {
            active: false,
            ..full_access(agent())
        },
    );
    assert_eq!(
        reason(
            world
                .call("/x/Read", Some(&world.token(json!({}))), &[])
                .await
        ),
        "AGENT_INACTIVE"
    );
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let world = World::new();
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        assert!(
            world.call(path, None, &[]).await.unwrap().is_none(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn too_many_requests_of_one_account_are_told_when_to_come_again() {
    let world = World::new();
    world.records.put(&account("calm"), full_access(agent()));
    let token = world.token(json!({}));
    for _ in 0..3 {
        world.call("/x/Read", Some(&token), &[]).await.unwrap();
    }
    let status = world.call("/x/Read", Some(&token), &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        !status
            .get_details_retry_info()
            .unwrap()
            .retry_delay
            .unwrap()
            .is_zero()
    );
    let calm = world.token(json!({ "account": "calm" }));
    assert_eq!(
        reason(world.call("/x/Read", Some(&calm), &[]).await),
        "admitted"
    );
}

// A token by a key of the repository could be anybody's.
#[tokio::test]
async fn o112_a_key_set_with_a_key_of_the_repository_is_believed_only_where_told_so() {
    let world = World::new();
    let source = world.file.path().display().to_string();
    let jwks = Jwks::new(&source, false).unwrap();
    let refused = format!("{:#}", jwks.refresh().await.unwrap_err());
    assert!(
        refused.contains("key a") && refused.contains("auth.demo_secrets"),
        "{refused}"
    );
    assert_eq!(jwks.count(), 0);
    Jwks::new(&source, true).unwrap().refresh().await.unwrap();
    // What was believed before goes on being believed when such a key comes to the set.
    let own = SigningKey::from_bytes(&rand::random());
    std::fs::write(&source, json!({ "keys": [jwk("own", &own)] }).to_string()).unwrap();
    jwks.refresh().await.unwrap();
    let both = json!({ "keys": [jwk("own", &own), jwk("a", &world.key)] });
    std::fs::write(&source, both.to_string()).unwrap();
    assert!(jwks.refresh().await.is_err());
    assert_eq!(jwks.count(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_when_it_is_first_used() {
    let world = World::new();
    let next = SigningKey::from_bytes(&[9; 32]);
    let jwks = Arc::new(Jwks::new(&world.file.path().display().to_string(), true).unwrap());
    let verifier = Verifier::new(jwks, &settings(world.file.path()));
    std::fs::write(
        world.file.path(),
        json!({ "keys": [jwk("a", &world.key), jwk("n", &next)] }).to_string(),
    )
    .unwrap();
    let token = sign("n", &next, &claims(json!({})));
    assert_eq!(
        verifier.verify(&token).await.unwrap().account,
        AccountSlug::parse("acme").ok()
    );
}

#[tokio::test]
async fn without_keys_the_caller_may_try_again() {
    let world = World::new();
    std::fs::write(world.file.path(), "{}").unwrap();
    let status = world
        .call("/x/Read", Some(&world.token(json!({}))), &[])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}
