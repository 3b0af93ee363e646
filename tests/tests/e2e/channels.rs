//! One customer per channel writes, becomes a chat with a card and a responsible, and is answered the same way (F185).

use std::time::{Duration, Instant};

use anyhow::Context as _;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::{
    Attachment, Origin, Text, attachment, content_part::Content, origin,
};
use switchboard_proto::conversation::v1::{
    self as conversation, SendMessageRequest, chat::State, message::Kind, message_delivery,
};
use switchboard_proto::{assignment::v1 as assignment, crm_cards::v1 as crm};
use switchboard_tests::meta::{Action, StandIn as Meta};
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use switchboard_tests::services::Kind as Service;
use switchboard_tests::viber::StandIn as Viber;
use switchboard_tests::world::{Account, Plan, World, WorldOptions, eventually, text_of, within};
use uuid::Uuid;

const IG_ACCOUNT: &str = "17841400008460056";

fn environment(pairs: &[(&str, &str)]) -> WorldOptions {
    WorldOptions {
        environment: pairs
            .iter()
            .map(|(key, value)| {
                let key = format!("SWITCHBOARD_{key}");
                (Some(Service::ChannelGateway), key, (*value).to_owned())
            })
            .collect(),
        ..WorldOptions::default()
    }
}

/// Connects a further channel to an account, as its first one is.
async fn connect(
    account: &Account,
    credentials: gateway::create_channel_request::Credentials,
) -> anyhow::Result<gateway::Channel> {
    let channel_id = Uuid::new_v4().to_string();
    let mut admin = account.admin.clone();
    admin
        .gateway
        .create_channel(gateway::CreateChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            channel_id: channel_id.clone(),
            name: "Further line".into(),
            credentials: Some(credentials),
        })
        .await?;
    admin
        .crm
        .set_pipeline_connection(crm::SetPipelineConnectionRequest {
            connection: Some(crm::PipelineConnection {
                channel_id: channel_id.clone(),
                mode: crm::pipeline_connection::Mode::Repeat.into(),
                source_id: account.source_id.clone(),
                ..Default::default()
            }),
        })
        .await?;
    admin
        .assignment
        .set_distribution_policy(assignment::SetDistributionPolicyRequest {
            policy: Some(assignment::DistributionPolicy {
                channel_id: channel_id.clone(),
                distribution: assignment::Distribution::RoundRobin.into(),
                agent_ids: account
                    .agents
                    .iter()
                    .map(|agent| agent.id.to_string())
                    .collect(),
                keep_previous: false,
                ..Default::default()
            }),
        })
        .await?;
    let enabled = admin
        .gateway
        .enable_channel(gateway::EnableChannelRequest { channel_id })
        .await?;
    enabled.into_inner().channel.context("a channel")
}

/// The chat of a client, once it has a responsible and a card.
async fn settled(account: &Account, user_id: &str) -> anyhow::Result<conversation::Chat> {
    let chat = eventually("the client's chat with a responsible", async || {
        let chats = account.chats().await?;
        Ok(chats.into_iter().find(|chat| {
            chat.state() == State::Active
                && chat
                    .client
                    .as_ref()
                    .is_some_and(|client| client.user_id == user_id)
        }))
    })
    .await?;
    eventually("its card", async || {
        Ok(account.cards(&chat.chat_id).await?.pop())
    })
    .await?;
    Ok(chat)
}

/// Answers as the responsible, to a message where one is named.
async fn answer(
    account: &Account,
    chat: &conversation::Chat,
    text: &str,
    reply_to: &str,
) -> anyhow::Result<String> {
    let agent = account.agent(&chat.responsible_agent_id)?;
    let sent = agent
        .clients
        .conversation
        .clone()
        .send_message(SendMessageRequest {
            request_id: Uuid::new_v4().to_string(),
            chat_id: chat.chat_id.clone(),
            text: Some(Text {
                text: text.to_owned(),
                entities: Vec::new(),
            }),
            reply_to_message_id: reply_to.to_owned(),
            ..Default::default()
        })
        .await?;
    Ok(sent.into_inner().message.context("a message")?.message_id)
}

/// Waits until a message has this delivery state.
async fn delivered(
    account: &Account,
    chat: &str,
    message: &str,
    state: message_delivery::State,
) -> anyhow::Result<()> {
    within(
        Duration::from_secs(30),
        &format!("delivery state {state:?}"),
        async || {
            let messages = account.messages(chat).await?;
            let of = messages.into_iter().find(|it| it.message_id == message);
            let now = of
                .and_then(|it| it.delivery)
                .map(|delivery| delivery.state());
            Ok((now == Some(state)).then_some(()))
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f185_a_customer_of_viber_is_answered_and_receipts_come_back() -> anyhow::Result<()> {
    let viber = Viber::start().await?;
    let world = World::start_with(environment(&[("VIBER__API_URL", &viber.url())])).await?;
    let account = world.account(Plan::default()).await?;
    let token = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3".to_owned();
    let bot = gateway::ViberBotCredentials {
        token: token.clone(),
        sender_name: "Shop".into(),
        ..Default::default()
    };
    let channel = connect(
        &account,
        gateway::create_channel_request::Credentials::ViberBot(bot.clone()),
    )
    .await?;
    assert!(viber.webhook(&token).is_some(), "the webhook is registered");
    assert!(channel.capabilities.context("capabilities")?.read_receipts);
    let again = account
        .admin
        .gateway
        .clone()
        .create_channel(gateway::CreateChannelRequest {
            request_id: Uuid::new_v4().to_string(),
            name: "The same line".into(),
            credentials: Some(gateway::create_channel_request::Credentials::ViberBot(bot)),
            ..Default::default()
        })
        .await;
    if let Ok(made) = again {
        // Which bot a token is of only Viber tells: it is refused when it would be heard twice.
        let channel_id = made.into_inner().channel.context("a channel")?.channel_id;
        let request = gateway::EnableChannelRequest { channel_id };
        let refused = account.admin.gateway.clone().enable_channel(request).await;
        assert_eq!(refused.unwrap_err().code(), tonic::Code::AlreadyExists);
    }

    viber
        .say(&token, "pQ7xN2aLr0uZ1mW8sYkTfA==", "Коли відправите?")
        .await?;
    let chat = settled(&account, "pQ7xN2aLr0uZ1mW8sYkTfA==").await?;
    assert_eq!(chat.unanswered, 1);
    let message = answer(&account, &chat, "Завтра зранку.", "").await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = viber.sent(&token).pop().context("it went out")?;
    assert_eq!(sent.body["text"], "Завтра зранку.");
    assert_eq!(sent.receiver, "pQ7xN2aLr0uZ1mW8sYkTfA==");

    // Seen comes once for all, and never goes back to delivered (B03).
    for (event, state) in [
        ("delivered", message_delivery::State::Delivered),
        ("seen", message_delivery::State::Read),
    ] {
        viber
            .receipt(&token, &sent.receiver, event, sent.message_token)
            .await?;
        delivered(&account, &chat.chat_id, &message, state).await?;
    }
    viber
        .receipt(&token, &sent.receiver, "delivered", sent.message_token)
        .await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Read,
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f089_f091_f093_a_comment_is_answered_under_the_post_and_a_message_in_direct()
-> anyhow::Result<()> {
    let meta = Meta::start().await?;
    let world = World::start_with(environment(&[
        ("INSTAGRAM__INSTAGRAM_URL", &meta.url()),
        ("INSTAGRAM__FACEBOOK_URL", &meta.url()),
        ("INSTAGRAM__APP_SECRET", "app-secret"),
        ("INSTAGRAM__VERIFY_TOKEN", "verify-token"),
    ]))
    .await?;
    let account = world.account(Plan::default()).await?;
    let (token, customer) = ("IGAA-1", "7712309945511");
    meta.account(token, IG_ACCOUNT, "shop");
    let profile = gateway::InstagramCredentials {
        login: gateway::instagram_credentials::Login::Instagram.into(),
        account_id: IG_ACCOUNT.into(),
        access_token: token.into(),
        ..Default::default()
    };
    let credentials = gateway::create_channel_request::Credentials::Instagram(profile);
    connect(&account, credentials).await?;
    let webhook = world.system.http_url()?;
    meta.set_webhook(&format!("{webhook}/in/instagram")).await?;

    // A comment: a chat with the mark of where it was written (F089).
    let comment = Action::Comment {
        media: "18139494541428835".into(),
        text: "А є чорні?".into(),
        parent: None,
    };
    meta.act(token, customer, comment).await?;
    let chat = settled(&account, customer).await?;
    let messages = account.messages(&chat.chat_id).await?;
    let written = messages
        .iter()
        .find(|message| message.kind() == Kind::Client)
        .context("the comment")?;
    assert_eq!(
        written.origin.as_ref().map(Origin::kind),
        Some(origin::Kind::Comment)
    );
    let message = answer(&account, &chat, "Так, є чорні.", &written.message_id).await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = meta.sent().pop().context("a call")?;
    assert!(
        sent.call.ends_with("/replies"),
        "under the post (F091): {}",
        sent.call
    );

    // A message of the same person is in the same chat; what is simply written goes to Direct (F093, X12).
    let direct = Action::Write {
        text: "Скільки коштує?".into(),
        reply_to: None,
    };
    meta.act(token, customer, direct).await?;
    eventually("both in one chat", async || {
        let messages = account.messages(&chat.chat_id).await?;
        let own = messages
            .iter()
            .filter(|message| message.kind() == Kind::Client);
        Ok((own.count() == 2).then_some(()))
    })
    .await?;
    let message = answer(&account, &chat, "800 грн", "").await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = meta.sent().pop().context("a call")?;
    assert_eq!(
        (sent.call.as_str(), &sent.body["message"]["text"]),
        ("POST /me/messages", &serde_json::json!("800 грн"))
    );

    // The echo of our own message is no second one (channels.md §7.13).
    let messages = account.messages(&chat.chat_id).await?;
    let ours = messages
        .iter()
        .filter(|message| message.kind() == Kind::Agent);
    assert_eq!(ours.count(), 2, "{messages:?}");
    Ok(())
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f185_a_mail_is_a_chat_and_the_answer_stays_in_its_thread() -> anyhow::Result<()> {
    let dovecot = Dovecot::start(None)?;
    let smtp = SmtpServer::start(SmtpTls::None)?;
    smtp.behave(&serde_json::json!({ "users": { "shop": "secret" } }))?;
    let world = World::start_with(environment(&[
        ("MAIL__ALLOW_PLAIN", "true"),
        ("MAIL__ALLOW_PRIVATE", "true"),
        ("MAIL__RENEW", "500ms"),
        ("MAIL__LEASE", "3s"),
    ]))
    .await?;
    let account = world.account(Plan::default()).await?;
    let server = |port: u16| {
        Some(gateway::email_credentials::Server {
            host: "127.0.0.1".into(),
            port: port.into(),
            security: gateway::email_credentials::Security::None.into(),
        })
    };
    let mailbox = gateway::EmailCredentials {
        address: "sales@shop.example".into(),
        display_name: "Shop".into(),
        imap: server(dovecot.imap()),
        smtp: server(smtp.port()),
        username: "shop".into(),
        secret: Some(gateway::email_credentials::Secret::Password(
            "secret".into(),
        )),
    };
    let credentials = gateway::create_channel_request::Credentials::Email(mailbox);
    let channel = connect(&account, credentials).await?;
    assert_eq!(channel.provider_name, "sales@shop.example");

    // A channel begins with what comes after it was connected: the mail is sent until the mailbox is followed.
    let mail = |number: usize| {
        format!(
            "From: =?UTF-8?B?0J7Qu9C10L3QsA==?= <olena@client.example>\r\nTo: sales@shop.example\r\n\
             Subject: Order 551\r\nMessage-ID: <q{number}@client.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
             Чи є 42 розмір?\r\n\r\nOn Mon, 23 Nov 2026 Shop wrote:\r\n> Добрий день\r\n"
        )
    };
    let (mut number, mut last) = (0, None::<Instant>);
    let chat = within(Duration::from_secs(40), "the mail's chat", async || {
        if last.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
            number += 1;
            last = Some(Instant::now());
            dovecot.deliver("shop", &mail(number))?;
        }
        let chats = account.chats().await?;
        let ours = |chat: &conversation::Chat| {
            chat.client
                .as_ref()
                .is_some_and(|client| client.user_id == "olena@client.example")
        };
        Ok(chats.into_iter().find(ours))
    })
    .await?;
    let chat = settled(&account, &chat.client.context("a client")?.user_id).await?;
    let messages = account.messages(&chat.chat_id).await?;
    let written = messages
        .iter()
        .find(|message| message.kind() == Kind::Client)
        .context("the mail")?;
    assert_eq!(text_of(written), "Чи є 42 розмір?", "without the history");

    let message = answer(&account, &chat, "Так, є.", &written.message_id).await?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Sent,
    )
    .await?;
    let sent = smtp.received()?.pop().context("a mail went out")?;
    assert_eq!(sent.to, ["olena@client.example"]);
    let raw = String::from_utf8_lossy(&sent.raw).into_owned();
    let head = raw.split("\r\n\r\n").next().unwrap_or_default();
    assert!(head.contains("Subject: Re: Order 551"), "{head}");
    assert!(
        head.contains("In-Reply-To: <q") && head.contains("References: <q"),
        "{head}"
    );
    assert!(
        head.contains("@shop.example>"),
        "our own Message-ID: {head}"
    );

    // A bounce of our answer fails it, and opens nothing.
    let own = head
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "))
        .context("our Message-ID")?;
    let bounce = format!(
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.client.example\r\nTo: sales@shop.example\r\nSubject: Undelivered\r\n\
         Message-ID: <d1@mx.client.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=D\r\n\r\n\
         --D\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n\
         --D\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.client.example\r\n\r\n\
         Final-Recipient: rfc822; olena@client.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\r\n\
         --D\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {own}\r\n\r\n--D--\r\n"
    );
    let before = account.chats().await?.len();
    dovecot.deliver("shop", &bounce)?;
    delivered(
        &account,
        &chat.chat_id,
        &message,
        message_delivery::State::Failed,
    )
    .await?;
    assert_eq!(account.chats().await?.len(), before);
    Ok(())
}

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

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn f130_f188_f189_a_clients_photo_is_stored_and_a_file_goes_back_with_its_text()
-> anyhow::Result<()> {
    let world = World::start().await?;
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
    let content = b"%PDF-1.4 price list".to_vec();
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
