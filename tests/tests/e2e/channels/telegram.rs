//! Telegram: files and albums.

use std::collections::BTreeSet;

use anyhow::Context as _;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::{Attachment, Text, attachment, content_part::Content};
use switchboard_proto::conversation::v1::{SendMessageRequest, message::Kind, message_delivery};
use switchboard_tests::servers::S3Server;
use switchboard_tests::services::Kind as Service;
use switchboard_tests::world::{Account, Plan, World, eventually, text_of};
use uuid::Uuid;

use super::{answer, delivered, environment, settled};

/// What the file of a message is to a reader, once it is in the store.
async fn stored_file(account: &Account, chat: &str, kind: Kind) -> anyhow::Result<Attachment> {
    eventually("a stored file", async || {
        let messages = account.messages(chat).await?;
        let files = messages
            .into_iter()
            .filter(|message| message.kind() == kind)
            .flat_map(|message| message.parts)
            .filter_map(|part| match part.content {
                Some(Content::Attachment(file)) => Some(file),
                _ => None,
            });
        Ok(files
            .last()
            .filter(|file| file.state() == attachment::State::Stored))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f130_f188_f189_a_clients_photo_is_stored_and_a_file_goes_back_with_its_text()
-> anyhow::Result<()> {
    let world = World::start().await?;
    files_come_and_go(&world, b"%PDF-1.4 price list".to_vec()).await
}

/// The same with files in S3, and one that does not go there in one piece.
#[tokio::test(flavor = "multi_thread")]
async fn f130_files_come_and_go_by_way_of_s3() -> anyhow::Result<()> {
    let Some(server) = S3Server::start()? else {
        return Ok(());
    };
    let endpoint = server.url();
    let mut options = environment(&[
        ("FILES__STORE", "s3"),
        ("FILES__BUCKET", server.bucket()),
        ("FILES__REGION", server.region()),
        ("FILES__ENDPOINT", endpoint.as_str()),
    ]);
    for (name, value) in server.keys() {
        let to = Some(Service::ChannelGateway);
        options.environment.push((to, name, value));
    }
    let world = World::start_with(options).await?;
    let mut prices = b"%PDF-1.4 price list".to_vec();
    prices.resize(6 << 20, b' ');
    let size = u64::try_from(prices.len())?;
    files_come_and_go(&world, prices).await?;
    let stored = server.stored().await?;
    assert_eq!(stored.uploads, Vec::<String>::new());
    let sizes: BTreeSet<u64> = stored.objects.into_values().collect();
    assert!(sizes.contains(&size), "{sizes:?}");
    assert!(!world.system.folder().join("files").exists());
    Ok(())
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
async fn files_come_and_go(world: &World, content: Vec<u8>) -> anyhow::Result<()> {
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_012_999_i64;
    // A picture of one pixel: what a file is, its bytes tell.
    let picture: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    let file_id = "AgACphoto";
    world.telegram.put_file(
        &account.bot_token,
        file_id,
        "photos/file_1.jpg",
        picture.to_vec().into(),
    )?;
    let update = serde_json::json!({ "message": {
        "message_id": 77,
        "date": 1_790_764_802,
        "from": { "id": customer, "is_bot": false, "first_name": "Олена" },
        "chat": { "id": customer, "first_name": "Олена", "type": "private" },
        "caption": "Ось чек",
        "photo": [{ "file_id": file_id, "file_unique_id": "u1", "width": 1, "height": 1, "file_size": picture.len() }],
    }});
    world
        .telegram
        .deliver(&account.bot_token, update, 0)
        .await?;
    let chat = settled(&account, &customer.to_string()).await?;
    let file = stored_file(&account, &chat.chat_id, Kind::Client).await?;
    assert_eq!(file.media_type, "image/png");
    assert_eq!(usize::try_from(file.size)?, picture.len());
    assert!(
        file.extension.is_empty(),
        "the provider's reference stays in the gateway"
    );

    // Read by a signed link.
    let agent = account.agent(&chat.responsible_agent_id)?.clients.clone();
    let link = agent
        .gateway
        .clone()
        .create_attachment_link(gateway::CreateAttachmentLinkRequest {
            attachment_id: file.attachment_id.clone(),
        })
        .await?
        .into_inner();
    let read = reqwest::get(&link.url)
        .await?
        .error_for_status()?
        .bytes()
        .await?;
    assert_eq!(&read[..], picture);

    // A file goes out together with its text, as one message.
    let upload = agent
        .gateway
        .clone()
        .create_upload(gateway::CreateUploadRequest {
            file_name: "ціни.pdf".into(),
            size: i64::try_from(content.len())?,
            media_type: "application/pdf".into(),
        })
        .await?
        .into_inner();
    let put = reqwest::Client::new()
        .put(&upload.put_url)
        .body(content.clone());
    put.send().await?.error_for_status()?;
    let sent = agent
        .conversation
        .clone()
        .send_message(SendMessageRequest {
            request_id: Uuid::new_v4().to_string(),
            chat_id: chat.chat_id.clone(),
            text: Some(Text {
                text: "Ось ціни".into(),
                entities: Vec::new(),
            }),
            attachment_ids: vec![upload.attachment_id.clone()],
            ..Default::default()
        })
        .await?;
    let message = sent.into_inner().message.context("a message")?.message_id;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let call = world
        .telegram
        .sent(&account.bot_token)
        .pop()
        .context("a call")?;
    assert_eq!(call.method, "sendDocument");
    assert_eq!(call.params["caption"], "Ось ціни");
    let file = stored_file(&account, &chat.chat_id, Kind::Agent).await?;
    assert_eq!(
        (file.attachment_id, file.file_name.as_str()),
        (upload.attachment_id.clone(), "ціни.pdf")
    );

    // Nobody else's upload can be sent.
    let stranger = account
        .agents
        .iter()
        .find(|other| other.id.to_string() != chat.responsible_agent_id)
        .context("another agent")?;
    let foreign = stranger
        .clients
        .gateway
        .clone()
        .create_upload(gateway::CreateUploadRequest {
            file_name: "secret.txt".into(),
            size: 6,
            media_type: String::new(),
        })
        .await?
        .into_inner();
    let put = reqwest::Client::new().put(&foreign.put_url).body("secret");
    put.send().await?.error_for_status()?;
    let sent = agent
        .conversation
        .clone()
        .send_message(SendMessageRequest {
            request_id: Uuid::new_v4().to_string(),
            chat_id: chat.chat_id.clone(),
            attachment_ids: vec![foreign.attachment_id],
            ..Default::default()
        })
        .await?;
    let message = sent.into_inner().message.context("a message")?.message_id;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Failed,
    )
    .await
}

/// Several files sent at once are one message, which counts once.
#[tokio::test(flavor = "multi_thread")]
async fn f130_an_album_arrives_as_one_message_and_is_answered_as_one() -> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let customer = 5_540_013_001_i64;
    for item in 0..3 {
        let update = serde_json::json!({ "message": {
            "message_id": 80 + item,
            "date": 1_790_764_802,
            "media_group_id": "13579",
            "from": { "id": customer, "is_bot": false, "first_name": "Олена" },
            "chat": { "id": customer, "first_name": "Олена", "type": "private" },
            "caption": if item == 0 { "Ось усі три" } else { "" },
            "photo": [{ "file_id": format!("AgACalbum{item}"), "file_unique_id": format!("a{item}"), "width": 1, "height": 1 }],
        }});
        world
            .telegram
            .deliver(&account.bot_token, update, 0)
            .await?;
    }
    let chat = settled(&account, &customer.to_string()).await?;
    let album = eventually("the whole album", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let mut own = messages
            .into_iter()
            .filter(|message| message.kind() == Kind::Client);
        Ok(own.next().filter(|message| message.album.len() == 3))
    })
    .await?;
    let files = album
        .parts
        .iter()
        .filter(|part| matches!(part.content, Some(Content::Attachment(_))));
    assert_eq!(files.count(), 3);
    assert_eq!(text_of(&album), "Ось усі три");
    let messages = account.messages(&chat.chat_id).await?;
    let own = messages
        .iter()
        .filter(|message| message.kind() == Kind::Client);
    assert_eq!(own.count(), 1, "{messages:?}");
    let chats = account.chats().await?;
    assert_eq!(chats.first().context("the chat")?.unanswered, 1);

    // A reply to it is a reply to its first item.
    let message = answer(&account, &chat, "Беру другий.", &album.message_id).await?;
    let sent = message_delivery::State::Sent;
    delivered(&account, &chat.chat_id, &message, sent).await?;
    let call = world.telegram.sent(&account.bot_token).pop();
    let call = call.context("a call")?;
    let reply = call.params["reply_parameters"].to_string();
    assert!(reply.contains("80"), "{reply}");
    Ok(())
}
