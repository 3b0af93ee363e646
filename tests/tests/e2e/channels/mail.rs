//! E-mail, with a real Dovecot and a real SMTP server.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1::{self as conversation, message::Kind, message_delivery};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::servers::{Dovecot, SmtpServer, SmtpTls};
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually, text_of, within};

use super::{answer, connect, delivered, environment, settled};

const START_CHAT: &str = "conversation.v1.ChatService/StartChat";

/// Servers of a test speak in the clear, and a mailbox is followed soon.
const MAIL: [(&str, &str); 4] = [
    ("MAIL__ALLOW_PLAIN", "true"),
    ("MAIL__ALLOW_PRIVATE", "true"),
    ("MAIL__RENEW", "500ms"),
    ("MAIL__LEASE", "3s"),
];

#[tokio::test(flavor = "multi_thread")]
async fn f185_a_mail_is_a_chat_and_the_answer_stays_in_its_thread() -> anyhow::Result<()> {
    let dovecot = Dovecot::start(None)?;
    let smtp = SmtpServer::start(SmtpTls::None)?;
    smtp.behave(&serde_json::json!({ "users": { "shop": "secret" } }))?;
    let world = World::start_with(environment(&MAIL)).await?;
    let account = world.account(Plan::default()).await?;
    let credentials = mailbox(&dovecot, &smtp);
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
    details(&account, written).await?;

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

/// Credentials of the shop's mailbox.
fn mailbox(dovecot: &Dovecot, smtp: &SmtpServer) -> gateway::create_channel_request::Credentials {
    let server = |port: u16| {
        Some(gateway::email_credentials::Server {
            host: "127.0.0.1".into(),
            port: port.into(),
            security: gateway::email_credentials::Security::None.into(),
        })
    };
    gateway::create_channel_request::Credentials::Email(gateway::EmailCredentials {
        address: "sales@shop.example".into(),
        display_name: "Shop".into(),
        imap: server(dovecot.imap()),
        smtp: server(smtp.port()),
        username: "shop".into(),
        secret: Some(gateway::email_credentials::Secret::Password(
            "secret".into(),
        )),
    })
}

/// A mail is more than what is shown of it: its subject, the whole text, and the file it came as.
async fn details(account: &Account, written: &conversation::Message) -> anyhow::Result<()> {
    assert_eq!(written.subject, "Order 551");
    assert!(written.full_text.is_empty(), "only where it is asked for");
    let whole = account
        .admin
        .conversation
        .clone()
        .list_messages(conversation::ListMessagesRequest {
            chat_id: written.chat_id.clone(),
            full_text: true,
            ..Default::default()
        })
        .await?
        .into_inner()
        .messages
        .into_iter()
        .find(|message| message.message_id == written.message_id)
        .context("the mail, whole")?;
    let (own, history) = ("Чи є 42 розмір?", "> Добрий день");
    assert!(
        whole.full_text.starts_with(own) && whole.full_text.contains(history),
        "{}",
        whole.full_text
    );
    let original = whole.original.context("the mail as it came")?;
    assert!(!original.attachment_id.is_empty());
    assert!(whole.html.is_none(), "it had none");
    Ok(())
}

/// A contact's first mail comes from us: the chat, its agent and its contact are there before the client says a word, and what
/// they answer joins them.
#[tokio::test(flavor = "multi_thread")]
async fn f084_f087_an_agent_writes_to_a_contact_first_and_the_answer_comes_into_the_chat()
-> anyhow::Result<()> {
    let dovecot = Dovecot::start(None)?;
    let smtp = SmtpServer::start(SmtpTls::None)?;
    smtp.behave(&serde_json::json!({ "users": { "shop": "secret" } }))?;
    let world = World::start_with(environment(&MAIL)).await?;
    let account = world.account(Plan::default()).await?;
    let channel = connect(&account, mailbox(&dovecot, &smtp)).await?;
    assert!(channel.capabilities.is_some_and(|can| can.writes_first));
    let rpc = Rpc::of(&world)?;
    let tokens = world.system.tokens();
    let shop = Bearer::new(&tokens.service(&account.slug, "shop", "chats:* crm:*"))?;
    let person = json!({ "name": "Olena", "emails": ["Olena@Client.example"] });
    let created = rpc.call("crm_cards.v1.ContactService/CreateContact", &shop, &person);
    let contact = created.await?["contact"]["contact_id"]
        .as_str()
        .context("a contact")?
        .to_owned();

    let agent = account.agents.first().context("an agent")?;
    let write = json!({
        "request_id": "first", "contact_id": contact, "channel_id": channel.channel_id,
        "subject": "Order 551", "text": { "text": "It is ready." },
    });
    let who = Bearer::new(&tokens.agent(&account.slug, agent.id, "chats:*"))?;
    let begun = rpc.call(START_CHAT, &who, &write).await?;
    let again = rpc.call(START_CHAT, &who, &write).await?;
    assert_eq!(
        begun["message"]["message_id"],
        again["message"]["message_id"]
    );
    let message = begun["message"]["message_id"]
        .as_str()
        .context("a message")?;
    let chat = begun["chat"]["chat_id"].as_str().context("a chat")?;
    delivered(&account, chat, message, message_delivery::State::Sent).await?;
    let sent = smtp.received()?;
    assert_eq!(sent.len(), 1);
    let raw = String::from_utf8_lossy(&sent[0].raw).into_owned();
    assert!(
        raw.contains("Subject: Order 551") && !raw.contains("In-Reply-To"),
        "{raw}"
    );
    assert_eq!(sent[0].to, ["olena@client.example"]);

    // It is the agent's who wrote (§7), of the contact who was meant, and makes no card (F213).
    let theirs = eventually("the agent's chat", async || {
        let chats = account.chats().await?;
        Ok(chats
            .into_iter()
            .find(|it| it.responsible_agent_id == agent.id.to_string()))
    });
    assert_eq!(theirs.await?.chat_id, chat);
    let linked = json!({ "chat_id": chat });
    let connections = "crm_cards.v1.CrmCardsService/GetChatConnections";
    let linked = rpc.call(connections, &shop, &linked).await?;
    assert_eq!(linked["contact"]["contact_id"], json!(contact));
    assert!(account.cards(chat).await?.is_empty());

    // What the client answers comes into this chat, to its agent.
    let own = raw
        .lines()
        .find_map(|line| line.strip_prefix("Message-ID: "));
    let own = own.context("our Message-ID")?;
    let mut number = 0;
    let mut last = None::<Instant>;
    within(Duration::from_secs(40), "the answer", async || {
        if last.is_none_or(|last| last.elapsed() > Duration::from_secs(1)) {
            number += 1;
            last = Some(Instant::now());
            let mail = format!(
                "From: Olena <olena@client.example>\r\nTo: sales@shop.example\r\nSubject: Re: Order 551\r\n\
                 Message-ID: <a{number}@client.example>\r\nIn-Reply-To: {own}\r\n\
                 Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nThank you!\r\n"
            );
            dovecot.deliver("shop", &mail)?;
        }
        let messages = account.messages(chat).await?;
        Ok(messages.into_iter().find(|it| it.kind() == Kind::Client))
    })
    .await?;
    assert_eq!(account.chats().await?.len(), 1);
    assert!(
        account.cards(chat).await?.is_empty(),
        "the conversation was open"
    );
    Ok(())
}
