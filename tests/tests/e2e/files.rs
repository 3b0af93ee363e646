//! Files while the gateway is killed in their midst.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::{attachment, content_part::Content};
use switchboard_proto::conversation::v1::{SendMessageRequest, message_delivery};
use switchboard_tests::services::Kind;
use switchboard_tests::telegram::{Fault, FaultKind};
use switchboard_tests::world::{Account, Clients, Plan, World, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tonic::Code;
use uuid::Uuid;

use crate::channels::{delivered, environment, settled};

const MIB: usize = 1 << 20;
/// Whoever has put or fetched more than this has a part in the store.
const PART: u64 = 5 << 20;

/// All files of the store, those with a `#` in their name being parts.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn is_part(file: &Path) -> bool {
    file.to_string_lossy().contains('#')
}

/// Files that are being written and have a part in the store already.
fn under_way(folder: &Path) -> anyhow::Result<usize> {
    let parts = files(folder)?.into_iter().filter(|file| is_part(file));
    let written = parts.filter(|file| file.metadata().is_ok_and(|known| known.len() >= PART));
    Ok(written.count())
}

async fn announce(
    clients: &Clients,
    size: usize,
) -> Result<gateway::CreateUploadResponse, tonic::Status> {
    let request = gateway::CreateUploadRequest {
        file_name: "prices.bin".into(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        media_type: String::new(),
    };
    let made = clients.gateway.clone().create_upload(request).await?;
    Ok(made.into_inner())
}

/// Begins to put a file, and sends a part of it only.
async fn put_some(url: &str, whole: &[u8], some: usize) -> anyhow::Result<TcpStream> {
    let url = reqwest::Url::parse(url)?;
    let place = (
        url.host_str().context("a host")?,
        url.port().context("a port")?,
    );
    let mut caller = TcpStream::connect(place).await?;
    let head = format!(
        "PUT {}?{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        url.path(),
        url.query().unwrap_or_default(),
        whole.len()
    );
    caller.write_all(head.as_bytes()).await?;
    caller.write_all(&whole[..some]).await?;
    Ok(caller)
}

async fn put(url: &str, whole: &[u8]) -> anyhow::Result<u16> {
    let put = reqwest::Client::new().put(url).body(whole.to_vec());
    Ok(put.send().await?.status().as_u16())
}

async fn link(clients: &Clients, id: &str) -> Result<String, tonic::Status> {
    let request = gateway::CreateAttachmentLinkRequest {
        attachment_id: id.to_owned(),
    };
    let made = clients
        .gateway
        .clone()
        .create_attachment_link(request)
        .await?;
    Ok(made.into_inner().url)
}

async fn read(clients: &Clients, id: &str) -> anyhow::Result<Vec<u8>> {
    let answer = reqwest::get(link(clients, id).await?).await?;
    Ok(answer.error_for_status()?.bytes().await?.to_vec())
}

/// What a customer's file is called, once its message is there.
async fn file_of(account: &Account, chat: &str) -> anyhow::Result<String> {
    eventually("the customer's file", async || {
        let messages = account.messages(chat).await?;
        let mut parts = messages.into_iter().flat_map(|message| message.parts);
        Ok(parts.find_map(|part| match part.content {
            Some(Content::Attachment(file)) => Some(file.attachment_id),
            _ => None,
        }))
    })
    .await
}

/// Time passes for the gateway's files.
async fn change(world: &World, statement: &'static str, id: &str) -> anyhow::Result<()> {
    let url = world.system.database_url(Kind::ChannelGateway)?;
    let mut database = PgConnection::connect(url).await?;
    let id: Uuid = id.parse()?;
    let done = sqlx::query(statement)
        .bind(id)
        .execute(&mut database)
        .await?;
    anyhow::ensure!(done.rows_affected() == 1, "{statement}: {done:?}");
    Ok(())
}

/// What is fetched is due again with the end of its lease.
const LEASE_ENDS: &str = "update attachment set lease_until = now(), due_at = case when due_at is not null then now() end
     where id = $1 and lease_until > now()";
const ADDRESS_ENDED: &str =
    "update attachment set created_at = created_at - interval '2 hours' where id = $1";

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f130_a_kill_in_the_midst_of_files_leaves_no_half_of_them_and_they_come_again()
-> anyhow::Result<()> {
    let mut world = World::start_with(environment(&[
        ("FILES__SWEEP", "200ms"),
        ("FILES__MAX_SIZE", "14MiB"),
        ("FILES__UPLOAD_QUOTA", "14MiB"),
    ]))
    .await?;
    let folder = world.system.folder().join("files");
    let account = world.account(Plan::default()).await?;
    let agent = account.agents[0].clients.clone();
    let whole: Vec<u8> = (0..12 * MIB)
        .map(|at| u8::try_from(at % 251).unwrap_or(0))
        .collect();

    // A customer's file comes half, and an agent's two uploads do not come whole either.
    let token = &account.bot_token;
    world.telegram.put_file(
        token,
        "BQACfile",
        "documents/file_1.bin",
        whole.clone().into(),
    )?;
    let hang = FaultKind::AnswerHangs { ms: 600_000 };
    world.telegram.fault(
        token,
        Fault {
            kind: hang,
            chat_id: None,
            method: Some("download".into()),
            times: Some(1),
        },
    )?;
    let customer = 5_540_013_777_i64;
    let update = json!({ "message": {
        "message_id": 77,
        "date": 1_790_764_802,
        "from": { "id": customer, "is_bot": false, "first_name": "Олена" },
        "chat": { "id": customer, "first_name": "Олена", "type": "private" },
        "document": { "file_id": "BQACfile", "file_unique_id": "u1", "file_name": "a.bin", "file_size": whole.len() },
    }});
    world.telegram.deliver(token, update, 0).await?;
    let chat = settled(&account, &customer.to_string()).await?;
    let owner = account.agent(&chat.responsible_agent_id)?.clients.clone();
    let fetched = file_of(&account, &chat.chat_id).await?;
    let (again, never) = (
        announce(&owner, 12 * MIB).await?,
        announce(&agent, MIB).await?,
    );
    let callers = [
        put_some(&again.put_url, &whole, 7 * MIB).await?,
        put_some(&never.put_url, &whole[..MIB], MIB / 2).await?,
    ];
    eventually("both have a part", async || {
        Ok((under_way(&folder)? == 2).then_some(()))
    })
    .await?;

    world.system.kill(Kind::ChannelGateway)?;
    drop(callers);
    let left = files(&folder)?;
    assert!(
        left.iter().all(|file| is_part(file)),
        "nothing stands in its place: {left:?}"
    );
    assert_eq!(left.len(), 2);
    // They were left long ago.
    for file in &left {
        let file = std::fs::File::options().write(true).open(file)?;
        file.set_modified(SystemTime::now() - Duration::from_hours(3))?;
    }
    world.system.restart(Kind::ChannelGateway).await?;

    // Nothing half is served; an upload may still be coming by another replica, until its lease has ended.
    for (clients, id) in [
        (&owner, &fetched),
        (&owner, &again.attachment_id),
        (&agent, &never.attachment_id),
    ] {
        let refused = link(clients, id).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    }
    assert_eq!(put(&again.put_url, &whole).await?, 409);
    eventually("the parts are removed", async || {
        Ok(files(&folder)?.is_empty().then_some(()))
    })
    .await?;
    let full = announce(&agent, 2 * MIB).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted, "{full}");

    for id in [&fetched, &again.attachment_id, &never.attachment_id] {
        change(&world, LEASE_ENDS, id).await?;
    }
    assert_eq!(put(&again.put_url, &whole).await?, 201);
    assert!(read(&owner, &again.attachment_id).await? == whole);
    eventually("the customer's file", async || {
        let request = gateway::GetAttachmentRequest {
            attachment_id: fetched.clone(),
        };
        let known = owner.gateway.clone().get_attachment(request).await?;
        let file = known.into_inner().attachment.context("a file")?;
        Ok((file.state() == attachment::State::Stored).then_some(()))
    })
    .await?;
    assert!(read(&owner, &fetched).await? == whole);

    // What is never put gives its place back, once, and what was put again is counted once.
    change(&world, ADDRESS_ENDED, &never.attachment_id).await?;
    let announced = eventually("place in the quota", async || {
        Ok(announce(&agent, 2 * MIB).await.ok())
    })
    .await?;
    assert!(announce(&agent, 1).await.is_err());
    assert_eq!(put(&never.put_url, &whole[..MIB]).await?, 404);
    assert_eq!(put(&announced.put_url, &whole[..2 * MIB]).await?, 201);
    let left = files(&folder)?;
    assert!(
        !left.iter().any(|file| is_part(file)) && left.len() == 3,
        "{left:?}"
    );

    // And it goes out.
    let request = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.chat_id.clone(),
        attachment_ids: vec![again.attachment_id],
        ..Default::default()
    };
    let sent = owner.conversation.clone().send_message(request).await?;
    let message = sent.into_inner().message.context("a message")?.message_id;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await
}
