//! Files: uploaded, given back, refused, and what real bodies of calls need.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use switchboard_tests::telegram::{Fault, FaultKind, StandIn};

use crate::{TOKEN, call};

/// Calls a method with files: name of the form's field, file name, content.
async fn call_with(
    stand_in: &StandIn,
    method: &str,
    params: &[(&'static str, &str)],
    files: Vec<(&'static str, &str, Vec<u8>)>,
) -> (u16, Value) {
    let mut form = reqwest::multipart::Form::new();
    for (name, value) in params {
        form = form.text(*name, (*value).to_owned());
    }
    for (field, name, content) in files {
        let part = reqwest::multipart::Part::bytes(content).file_name(name.to_owned());
        form = form.part(field, part);
    }
    let url = format!("{}/bot{TOKEN}/{method}", stand_in.url());
    let answer = reqwest::Client::new()
        .post(url)
        .multipart(form)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn what_was_uploaded_comes_back_the_same() {
    let stand_in = StandIn::start().await.unwrap();
    let media = json!([
        { "type": "document", "media": "attach://file0", "caption": "два" },
        { "type": "document", "media": "attach://file1" },
    ]);
    let (status, album) = call_with(
        &stand_in,
        "sendMediaGroup",
        &[("chat_id", "55"), ("media", &media.to_string())],
        vec![
            ("file0", "перший.txt", b"one".to_vec()),
            ("file1", "b.txt", b"two!".to_vec()),
        ],
    )
    .await;
    assert_eq!(status, 200, "{album}");
    assert_eq!(album["result"][0]["caption"], json!("два"));
    assert_eq!(
        album["result"][0]["document"]["file_name"],
        json!("перший.txt")
    );
    assert_ne!(
        album["result"][0]["message_id"],
        album["result"][1]["message_id"]
    );
    let file_id = &album["result"][1]["document"]["file_id"];
    let (_, file) = call(&stand_in, "getFile", json!({ "file_id": file_id })).await;
    assert_eq!(file["result"]["file_size"], json!(4));
    let path = file["result"]["file_path"].as_str().unwrap();
    let url = format!("{}/file/bot{TOKEN}/{path}", stand_in.url());
    let get = async || reqwest::get(&url).await.unwrap();
    assert_eq!(get().await.text().await.unwrap(), "two!");
    let fault = |kind| Fault {
        kind,
        chat_id: None,
        method: Some("download".into()),
        times: Some(1),
    };
    stand_in.fault(TOKEN, fault(FaultKind::AnswerLost)).unwrap();
    assert!(get().await.bytes().await.is_err(), "it breaks off");
    stand_in
        .fault(TOKEN, fault(FaultKind::ServerError))
        .unwrap();
    assert_eq!(get().await.status().as_u16(), 502);
    assert_eq!(get().await.text().await.unwrap(), "two!");
    let again = json!({ "chat_id": 55, "document": file_id });
    assert_eq!(call(&stand_in, "sendDocument", again).await.0, 200);
}

#[tokio::test]
async fn files_that_telegram_refuses_are_refused_in_its_words() {
    let stand_in = StandIn::start().await.unwrap();
    let to = [("chat_id", "55")];
    let photo = |size: usize| vec![("photo", "a.jpg", vec![0; size])];
    let (status, refusal) =
        call_with(&stand_in, "sendPhoto", &to, photo(10 * 1024 * 1024 + 1)).await;
    let words = refusal["description"].as_str().unwrap();
    assert!(
        status == 400 && words.ends_with("is too big for a photo"),
        "{words}"
    );
    let (_, refusal) = call_with(&stand_in, "sendPhoto", &to, photo(0)).await;
    assert_eq!(
        refusal["description"],
        json!("Bad Request: file must be non-empty")
    );
    let (status, _) = call_with(
        &stand_in,
        "sendDocument",
        &to,
        vec![("document", "a", vec![0; 50 * 1024 * 1024 + 1])],
    )
    .await;
    assert_eq!(status, 413);
    let url = format!(
        "{}/control/bots/{TOKEN}/files/BAAC1?size=20971521",
        stand_in.url()
    );
    let put = reqwest::Client::new()
        .put(url)
        .body("film")
        .send()
        .await
        .unwrap();
    assert_eq!(put.status().as_u16(), 204);
    for (method, body, words) in [
        ("getFile", json!({ "file_id": "BAAC1" }), "file is too big"),
        ("getFile", json!({ "file_id": "other" }), "invalid file_id"),
        (
            "sendPhoto",
            json!({ "chat_id": 55 }),
            "there is no photo in the request",
        ),
        (
            "sendSticker",
            json!({ "chat_id": 55, "sticker": "stickerID" }),
            "wrong file identifier/HTTP URL specified",
        ),
        (
            "sendMediaGroup",
            json!({ "chat_id": 55, "media": vec![json!({ "type": "photo", "media": "https://a.example/1" }); 11] }),
            "too much messages to send as an album",
        ),
        (
            "sendMediaGroup",
            json!({ "chat_id": 55, "media": [{ "type": "photo", "media": "https://a.example/1" },
                                              { "type": "document", "media": "https://a.example/2" }] }),
            "documents and audio can't be mixed with other media types",
        ),
        (
            "sendPhoto",
            json!({ "chat_id": 55, "photo": "https://a.example/1", "caption": "x".repeat(1_025) }),
            "message caption is too long",
        ),
    ] {
        let (status, refusal) = call(&stand_in, method, body).await;
        assert_eq!(
            (status, &refusal["description"]),
            (400, &json!(format!("Bad Request: {words}")))
        );
    }
}

fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("SWITCHBOARD_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = folder.join("telegram");
    if folder.join("index.json").is_file() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no fixtures in {}",
        folder.display()
    );
    println!("skipped: no fixtures");
    None
}

#[tokio::test]
async fn bodies_that_other_bots_write_are_taken() {
    let Some(folder) = fixtures() else { return };
    let json_of = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let stand_in = StandIn::start().await.unwrap();
    let index = json_of("index.json");
    let mut taken = 0;
    for record in index.as_array().unwrap() {
        let form = record["form"].as_str().unwrap();
        if record["direction"] != "outbound" || !form.contains("sendMessage") {
            continue;
        }
        let name = record["file"].as_str().unwrap();
        let written = json_of(name);
        let method = written["method"].as_str().unwrap_or("sendMessage");
        let mut body = match &written["body"] {
            Value::Null => written.clone(),
            body => body.clone(),
        };
        body["chat_id"] = json!(55);
        let (status, answer) = call(&stand_in, method, body).await;
        // A sticker's id is of somebody else's bot: Telegram does not know it either.
        let expected = if method == "sendSticker" { 400 } else { 200 };
        assert_eq!(status, expected, "{name}: {answer}");
        taken += 1;
    }
    assert!(taken > 0, "the index has other names now");
}
