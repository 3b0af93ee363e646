//! Calls over HTTP: files go along and come back, and no error holds a token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use channel_gateway::config::Telegram;
use channel_gateway::domain::refusal::Class;
use channel_gateway::domain::telegram::errors::{ApiError, classify};
use channel_gateway::domain::telegram::health::WebhookInfo;
use channel_gateway::provider::CallError;
use channel_gateway::provider::telegram::{BotApi, DownloadError, Upload};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use secrecy::SecretString;
use serde_json::{Value, json};

const TOKEN: &str = "7001:AAsecretsecretsecretsecretsecretsec";

/// What the server answers with, and the requests that came: path and body.
#[derive(Clone)]
struct Server {
    answer: Arc<dyn Fn() -> Response + Send + Sync>,
    requests: Arc<Mutex<Vec<(String, Bytes)>>>,
}

/// A client of a server that always answers so.
pub async fn speaking_to(
    answer: impl Fn() -> Response + Send + Sync + 'static,
) -> (BotApi, Arc<Mutex<Vec<(String, Bytes)>>>) {
    let server = Server {
        answer: Arc::new(answer),
        requests: Arc::default(),
    };
    let requests = Arc::clone(&server.requests);
    let router = Router::new().fallback(take).with_state(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    (client(&format!("http://{address}")), requests)
}

async fn take(State(server): State<Server>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 8 * 1024 * 1024)
        .await
        .unwrap_or_default();
    server.requests.lock().unwrap().push((path, body));
    (server.answer)()
}

fn client(api_url: &str) -> BotApi {
    // A second installation in the same process is refused, and is as good as the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    BotApi::new(&Telegram {
        api_url: api_url.to_owned(),
        max_connections: 40,
        connect_timeout: Duration::from_secs(5),
        call_timeout: Duration::from_secs(10),
    })
    .unwrap()
}

pub fn token() -> SecretString {
    SecretString::from(TOKEN)
}

fn ok(result: &Value) -> Response {
    axum::Json(json!({ "ok": true, "result": result })).into_response()
}

fn upload(field: &str, name: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Upload {
    Upload {
        field: field.into(),
        name: name.into(),
        media_type: media_type.into(),
        body: body.into(),
        length: 4,
    }
}

// pitfall 04: files are uploaded, never linked
#[tokio::test]
async fn f130_files_go_along_with_their_names_and_lengths() {
    let (bots, requests) = speaking_to(|| ok(&json!({ "message_id": 1 }))).await;
    let chunks = stream::iter([Ok::<_, std::io::Error>("jp"), Ok("eg")]);
    let files = vec![
        upload("file0", "рахунок \"7\".pdf", "application/pdf", "%PDF"),
        upload(
            "file1",
            "a.jpg",
            "im\u{7}age",
            reqwest::Body::wrap_stream(chunks),
        ),
    ];
    let params = json!({ "chat_id": 5, "caption": "чек", "media": [{ "media": "attach://file0" }], "none": null });
    bots.call_with_files(&token(), "sendMediaGroup", &params, files)
        .await
        .unwrap();
    let (path, body) = requests.lock().unwrap().remove(0);
    assert_eq!(path, format!("/bot{TOKEN}/sendMediaGroup"));
    let body = String::from_utf8(body.to_vec()).unwrap();
    for expected in [
        "name=\"chat_id\"\r\n\r\n5\r\n",
        "name=\"caption\"\r\n\r\nчек\r\n",
        "name=\"media\"\r\n\r\n[{\"media\":\"attach://file0\"}]\r\n",
        "name=\"file0\"; filename=\"рахунок 7.pdf\"\r\ncontent-type: application/pdf\r\n\r\n%PDF\r\n",
        "name=\"file1\"; filename=\"a.jpg\"\r\n\r\njpeg\r\n",
    ] {
        assert!(body.contains(expected), "{expected} in {body}");
    }
    assert!(!body.contains("none"));
}

#[tokio::test]
async fn a_file_comes_back_and_never_more_of_it_than_allowed() {
    let (bots, requests) = speaking_to(|| {
        let chunks = stream::iter([Ok::<_, std::io::Error>("jp"), Ok("eg")]);
        Body::from_stream(chunks).into_response()
    })
    .await;
    let file = bots
        .download(&token(), "photos/file 1.jpg", 4)
        .await
        .unwrap();
    let content: Vec<Bytes> = file.content.try_collect().await.unwrap();
    assert_eq!(content.concat(), b"jpeg");
    assert_eq!(
        requests.lock().unwrap()[0].0,
        format!("/file/bot{TOKEN}/photos/file%201.jpg")
    );
    let file = bots
        .download(&token(), "photos/file_1.jpg", 3)
        .await
        .unwrap();
    let content: Result<Vec<Bytes>, DownloadError> = file.content.try_collect().await;
    assert_eq!(content, Err(DownloadError::TooLarge));
    let asked = requests.lock().unwrap().len();
    for path in ["../bot1:a/getMe", "/etc/passwd", "", "a//b", "a/./b"] {
        let refused = bots.download(&token(), path, 9).await.err().unwrap();
        assert_eq!(reason(&refused), "FILE_UNAVAILABLE", "{path}");
    }
    assert_eq!(requests.lock().unwrap().len(), asked, "nobody was asked");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_gone_or_breaks_off_says_so() {
    let (bots, _) = speaking_to(|| ([(header::CONTENT_TYPE, "x/y")], "jpeg").into_response()).await;
    let refused = bots.download(&token(), "a", 3).await.err().unwrap();
    assert_eq!(reason(&refused), "FILE_TOO_LARGE");
    let gone = json!({ "ok": false, "error_code": 404, "description": "Not Found" });
    let (bots, _) =
        speaking_to(move || (StatusCode::NOT_FOUND, axum::Json(gone.clone())).into_response())
            .await;
    let refused = bots.download(&token(), "a", 3).await.err().unwrap();
    assert_eq!(reason(&refused), "FILE_UNAVAILABLE", "the token is fine");
    let (bots, _) = speaking_to(|| {
        // What came before is sent once there is nothing more for the moment.
        let cut = stream::once(async { Ok("jp") }).chain(stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::Error::other("cut on purpose"))
        }));
        Body::from_stream(cut).into_response()
    })
    .await;
    let file = bots.download(&token(), "a", 9).await.unwrap();
    let content: Result<Vec<Bytes>, DownloadError> = file.content.try_collect().await;
    assert_eq!(content, Err(DownloadError::Broken));
}

#[tokio::test]
async fn the_bot_api_is_asked_as_it_documents() {
    let info = json!({ "url": "https://gw.example.ua/in", "pending_update_count": 3, "last_error_date": 1_790_765_000,
                       "last_error_message": "Read timeout expired", "allowed_updates": ["message"] });
    let shown = info.clone();
    let (bots, requests) = speaking_to(move || ok(&shown)).await;
    let read = bots.get_webhook_info(&token()).await.unwrap();
    assert_eq!(read, WebhookInfo::read(&info));
    assert_eq!((read.pending, read.allowed_updates.len()), (3, 1));
    bots.answer_callback_query(&token(), "2379", Some("Так"))
        .await
        .unwrap();
    let body: Value = serde_json::from_slice(&requests.lock().unwrap()[1].1).unwrap();
    assert_eq!(body, json!({ "callback_query_id": "2379", "text": "Так" }));
    let file = json!({ "file_id": "a", "file_unique_id": "b", "file_size": 9, "file_path": "photos/1.jpg" });
    let (bots, _) = speaking_to(move || ok(&file)).await;
    let path = bots.get_file(&token(), "a").await.unwrap();
    assert_eq!((path.path.as_str(), path.size), ("photos/1.jpg", Some(9)));
    let (bots, _) = speaking_to(|| ok(&json!({ "file_id": "a" }))).await;
    assert!(matches!(
        bots.get_file(&token(), "a").await,
        Err(CallError::Unknown(_))
    ));
}

#[tokio::test]
async fn no_error_holds_the_token() {
    let unreachable = client("http://127.0.0.1:9");
    let (refusing, _) = speaking_to(|| StatusCode::BAD_GATEWAY.into_response()).await;
    for bots in [unreachable, refusing] {
        let call = bots.call(&token(), "getMe", &json!({})).await.unwrap_err();
        let files = vec![upload("file0", "a", "", "jpeg")];
        let sent = bots
            .call_with_files(&token(), "sendPhoto", &json!({}), files)
            .await
            .unwrap_err();
        let path = bots.get_file(&token(), "a").await.unwrap_err();
        let file = bots.download(&token(), "a", 9).await.err().unwrap();
        for error in [call, sent, path, file] {
            let said = format!("{error} {error:?}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}

fn reason(error: &CallError<ApiError>) -> &'static str {
    let CallError::Refused(error) = error else {
        panic!("{error:?}")
    };
    match classify(error) {
        Class::Refused(refusal) | Class::Disconnected(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}
