//! Access tokens from a token endpoint.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::post;
use channel_gateway::provider::oauth::{Application, OauthRefusal, refresh};
use channel_gateway::provider::{CallError, client};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

/// Answers as a token endpoint that rotates refresh tokens: "first" is good once known as such, others are void.
async fn answer(body: String) -> (StatusCode, Json<Value>) {
    let form: HashMap<&str, &str> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let asked =
        ["grant_type", "client_id", "client_secret", "scope"].map(|name| form.get(name).copied());
    assert_eq!(
        asked,
        [
            Some("refresh_token"),
            Some("app"),
            Some("app-secret"),
            Some("mail")
        ]
    );
    match form.get("refresh_token") {
        Some(&"first") => {
            let tokens =
                json!({ "access_token": "access", "expires_in": 3599, "refresh_token": "second" });
            (StatusCode::OK, Json(tokens))
        }
        Some(&"kept") => {
            let tokens = json!({ "access_token": "access", "refresh_token": "kept" });
            (StatusCode::OK, Json(tokens))
        }
        _ => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": "invalid_grant" })),
        ),
    }
}

// pitfall 36: a rotated token is kept
#[tokio::test]
async fn a_refresh_brings_an_access_token_and_the_rotated_refresh_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token_url = format!("http://{}/token", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/token", post(answer));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    // It installs the TLS provider that the HTTP client asks for.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let http = client(Duration::from_secs(5), Duration::from_secs(5)).unwrap();
    let application = Application {
        token_url,
        client_id: "app".into(),
        client_secret: Some("app-secret".to_owned().into()),
        scope: "mail".into(),
    };
    let rotated = refresh(&http, &application, &"first".to_owned().into())
        .await
        .unwrap();
    assert_eq!(rotated.access.expose_secret(), "access");
    assert_eq!(rotated.life, Duration::from_secs(3599));
    assert_eq!(rotated.rotated.unwrap().expose_secret(), "second");
    let kept = refresh(&http, &application, &"kept".to_owned().into())
        .await
        .unwrap();
    assert!(kept.rotated.is_none());
    let void = refresh(&http, &application, &"void".to_owned().into()).await;
    let Err(CallError::Refused(refusal)) = void else {
        panic!("{void:?}");
    };
    let expected = OauthRefusal {
        code: "invalid_grant".into(),
        status: 400,
    };
    assert_eq!(refusal, expected);
    assert!(refusal.is_final());
    server.abort();
}
