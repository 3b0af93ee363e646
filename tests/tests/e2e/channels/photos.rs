//! Clients' photos (F067): an item of a list shows one, it opens as any file does, and the next one takes its place.

use anyhow::Context as _;
use futures::StreamExt as _;
use sqlx::{Connection as _, PgConnection};
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::conversation::v1::{
    self as conversation, ListChatsRequest, WatchChatsRequest,
};
use switchboard_tests::meta::{Action, StandIn as Meta};
use switchboard_tests::services::Kind;
use switchboard_tests::viber::StandIn as Viber;
use switchboard_tests::world::{Account, Clients, Plan, World, eventually};

use super::{connect, environment, settled};

/// A picture of one pixel: what a file is, its bytes tell.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const VIBER_TOKEN: &str = "4453b6ac12345678-e02c5f12174805f9-daf9cbb5448c51f3";
const VIBER_CLIENT: &str = "pQ7xN2aLr0uZ1mW8sYkTfA==";
const IG_ACCOUNT: &str = "17841400008460056";

/// Waits until the item of a client shows another photo than this one.
async fn shown(account: &Account, user_id: &str, before: &str) -> anyhow::Result<String> {
    eventually("the client's photo", async || {
        let chats = account.chats().await?.into_iter();
        let mut photos = chats
            .filter(|chat| {
                let client = chat.client.as_ref();
                client.is_some_and(|client| client.user_id == user_id)
            })
            .map(|chat| chat.client_photo_attachment_id);
        Ok(photos.next().filter(|photo| photo != before))
    })
    .await
}

/// Opens a photo as an agent's screen does.
async fn opened(clients: &Clients, photo: &str) -> anyhow::Result<Vec<u8>> {
    let request = gateway::CreateAttachmentLinkRequest {
        attachment_id: photo.to_owned(),
    };
    let link = clients
        .gateway
        .clone()
        .create_attachment_link(request)
        .await?;
    let read = reqwest::get(&link.into_inner().url)
        .await?
        .error_for_status()?;
    Ok(read.bytes().await?.to_vec())
}

/// An hour goes by, after which a message that tells of another photo has it looked for.
async fn hour(world: &World) -> anyhow::Result<()> {
    let url = world.system.database_url(Kind::ChannelGateway)?;
    let mut database = PgConnection::connect(url).await?;
    sqlx::query("update client_photo set asked_at = asked_at - interval '2 hours'")
        .execute(&mut database)
        .await?;
    Ok(())
}

async fn with_viber(viber: &Viber, account: &Account) -> anyhow::Result<()> {
    let bot = gateway::ViberBotCredentials {
        token: VIBER_TOKEN.into(),
        sender_name: "Shop".into(),
        ..Default::default()
    };
    let credentials = gateway::create_channel_request::Credentials::ViberBot(bot);
    connect(account, credentials).await?;
    assert!(viber.webhook(VIBER_TOKEN).is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_an_item_shows_the_clients_photo_which_opens_and_is_replaced() -> anyhow::Result<()> {
    let viber = Viber::start().await?;
    let world = World::start_with(environment(&[("VIBER__API_URL", &viber.url())])).await?;
    let account = world.account(Plan::default()).await?;

    // Telegram is asked for it.
    let customer = 5_540_012_873_i64;
    let photo = [PICTURE, b"telegram"].concat();
    world
        .telegram
        .put_photo(&account.bot_token, customer, photo.clone().into())?;
    world
        .telegram
        .say(&account.bot_token, customer, "Добрий день!")
        .await?;
    let chat = settled(&account, &customer.to_string()).await?;
    let agent = account.agent(&chat.responsible_agent_id)?.clients.clone();
    let id = shown(&account, &customer.to_string(), "").await?;
    assert_eq!(opened(&agent, &id).await?, photo);

    // Viber tells of it, and of another one.
    with_viber(&viber, &account).await?;
    let first = [PICTURE, b"first"].concat();
    viber.put_photo(VIBER_TOKEN, VIBER_CLIENT, first.clone().into())?;
    viber
        .say(VIBER_TOKEN, VIBER_CLIENT, "Доброго ранку!")
        .await?;
    settled(&account, VIBER_CLIENT).await?;
    let former = shown(&account, VIBER_CLIENT, "").await?;
    assert_eq!(opened(&agent, &former).await?, first);
    let watch = WatchChatsRequest {
        list: Some(ListChatsRequest::default()),
        ..Default::default()
    };
    let watch = agent.conversation.clone().watch_chats(watch).await?;
    let mut changes = watch.into_inner();
    hour(&world).await?;
    let second = [PICTURE, b"second"].concat();
    viber.put_photo(VIBER_TOKEN, VIBER_CLIENT, second.clone().into())?;
    viber.say(VIBER_TOKEN, VIBER_CLIENT, "Це знову я.").await?;
    let latter = shown(&account, VIBER_CLIENT, &former).await?;
    assert_eq!(opened(&agent, &latter).await?, second);
    assert!(opened(&agent, &former).await.is_err(), "the former is gone");
    let told = async {
        while let Some(told) = changes.next().await {
            let has = |change: &conversation::ChatChange| {
                let chat = change.chat.as_ref();
                chat.is_some_and(|chat| chat.client_photo_attachment_id == latter)
            };
            if told?.changes.iter().any(has) {
                return Ok(());
            }
        }
        anyhow::bail!("the list ended")
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told)
        .await
        .context("who watches the list is told")??;

    // Who shows none any more has none.
    hour(&world).await?;
    viber.put_photo(VIBER_TOKEN, VIBER_CLIENT, Vec::new().into())?;
    viber.say(VIBER_TOKEN, VIBER_CLIENT, "І ще раз.").await?;
    assert_eq!(shown(&account, VIBER_CLIENT, &latter).await?, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f067_an_item_of_instagram_shows_the_picture_of_who_wrote_in_direct() -> anyhow::Result<()>
{
    let meta = Meta::start().await?;
    let world = World::start_with(environment(&[
        ("INSTAGRAM__INSTAGRAM_URL", &meta.url()),
        ("INSTAGRAM__FACEBOOK_URL", &meta.url()),
        ("INSTAGRAM__APP_SECRET", "app-secret"),
        ("INSTAGRAM__VERIFY_TOKEN", "verify-token"),
        ("AUTH__DEMO_SECRETS", "true"),
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
    let photo = [PICTURE, b"instagram"].concat();
    meta.put_photo(IG_ACCOUNT, customer, photo.clone().into());
    let direct = Action::Write {
        text: "Скільки коштує?".into(),
        reply_to: None,
    };
    meta.act(token, customer, direct).await?;
    let chat = settled(&account, customer).await?;
    let agent = account.agent(&chat.responsible_agent_id)?.clients.clone();
    let id = shown(&account, customer, "").await?;
    assert_eq!(opened(&agent, &id).await?, photo);
    Ok(())
}
