//! Access tokens from a token endpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::post;
use channel_gateway::provider::CallError;
use channel_gateway::provider::oauth::{Application, OauthRefusal, refresh};
use channel_gateway::provider::outward::{Limits, Outward};
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
    let http = outward(true, true);
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

fn outward(plain: bool, private: bool) -> Outward {
    let five = Duration::from_secs(5);
    Outward::new(Limits { plain, private }, five, five).unwrap()
}

// Whoever enters a mailbox must not make us call what stands beside us.
#[tokio::test]
async fn the_token_address_leads_to_the_public_internet_or_nowhere() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Json(json!({ "access_token": "access" })) }
    };
    let elsewhere = async || Redirect::temporary("/token");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new()
        .route("/token", post(answer))
        .route("/elsewhere", post(elsewhere));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    for (url, plain, private, calls) in [
        (format!("http://127.0.0.1:{port}/token"), true, true, 1),
        (format!("http://localhost:{port}/token"), true, true, 1),
        (format!("http://127.0.0.1:{port}/token"), true, false, 0),
        // What a name leads to shows when it is resolved.
        (format!("http://localhost:{port}/token"), true, false, 0),
        (format!("http://127.0.0.1:{port}/token"), false, true, 0),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/token"),
            true,
            false,
            0,
        ),
        (format!("http://127.0.0.1:{port}/elsewhere"), true, true, 0),
    ] {
        asked.store(0, Ordering::SeqCst);
        let application = Application {
            token_url: url.clone(),
            client_id: "app".into(),
            client_secret: None,
            scope: String::new(),
        };
        let http = outward(plain, private);
        let got = refresh(&http, &application, &"first".to_owned().into()).await;
        assert_eq!(got.is_ok(), calls == 1, "{url}");
        assert_eq!(asked.load(Ordering::SeqCst), calls, "{url}");
    }
    server.abort();
}
