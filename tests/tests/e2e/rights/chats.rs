//! A colleague's chat, opened from the card (F148–F151, D26).

use serde_json::{Value, json};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::eventually;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::people::{Kind, of_kind};
use super::things;

const CARD: &str = "crm_cards.v1.CrmCardsService/GetCard";
const CHATS: &str = "conversation.v1.ConversationService/ListChats";
const CHAT: &str = "conversation.v1.ConversationService/GetChat";
const MESSAGES: &str = "conversation.v1.ConversationService/ListMessages";
const SEND: &str = "conversation.v1.ConversationService/SendMessage";
const JOIN: &str = "assignment.v1.AssignmentService/JoinChat";

#[tokio::test(flavor = "multi_thread")]
async fn f148_f149_f150_f151_d26_a_colleagues_chat_opens_from_the_card_is_read_joined_and_shared()
-> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let shop = things::build(&world, &rpc, "Shop", 5_500_000_041).await?;
    let other = shop.get("other channel");
    let colleague = of_kind(&world, &rpc, &shop.account, Kind::Full, "")
        .await?
        .bearer;
    let stranger = of_kind(&world, &rpc, &shop.account, Kind::Elsewhere, &other)
        .await?
        .bearer;
    let card = json!({ "card_id": shop.get("card") });
    let words = |text: &str| json!({ "chat_id": shop.get("chat"), "text": { "text": text } });

    // F148: the card tells the chat, and it opens; F149: it is read and not written into.
    let link = rpc.call(CARD, &colleague, &card).await?["card"]["chat_id"].clone();
    let chat = json!({ "chat_id": link });
    let opened = rpc.call(CHAT, &colleague, &chat).await?;
    assert_eq!(opened["chat"]["responsible_agent_id"], shop.get("keeper"));
    let read = rpc.call(MESSAGES, &colleague, &chat).await?.to_string();
    assert!(read.contains(&shop.get("words")), "{read}");
    let refused = rpc
        .call(SEND, &colleague, &words("Too early"))
        .await
        .unwrap_err();
    let info = refused.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.reason, "JOIN_REQUIRED");
    assert_eq!(info.metadata.get("agent_id"), Some(&shop.get("keeper")));
    let mine = json!({ "mine": true });
    assert_eq!(
        rpc.call(CHATS, &colleague, &mine).await?["chats"],
        Value::Null
    );

    // D26: the same link opens nothing without the channel.
    assert_eq!(
        rpc.call(CARD, &stranger, &card).await?["card"]["chat_id"],
        link
    );
    for method in [CHAT, MESSAGES, JOIN] {
        let refused = rpc.call(method, &stranger, &chat).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{method}");
    }
    let refused = rpc
        .call(SEND, &stranger, &words("From elsewhere"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    // F150: after joining it is written into, and stands in the Active list.
    rpc.call(JOIN, &colleague, &chat).await?;
    let answer = rpc.call(SEND, &colleague, &words("I help")).await?;
    assert_eq!(answer["message"]["kind"], "KIND_AGENT");
    for bearer in [&colleague, &shop.keeper.bearer] {
        eventually("the chat in the Active list", async || {
            let chats = rpc.call(CHATS, bearer, &mine).await?;
            let first = &chats["chats"][0];
            // F151: both take part, and the colleague answers for it as before.
            let shared = first["chat_id"] == link
                && first["responsible_agent_id"] == shop.get("keeper")
                && first["participant_agent_ids"]
                    .as_array()
                    .is_some_and(|joined| joined.len() == 1);
            Ok(shared.then_some(()))
        })
        .await?;
    }
    rpc.call(SEND, &shop.keeper.bearer, &words("And so do I"))
        .await?;
    eventually("both answers at the customer", async || {
        let sent = world.telegram.sent(&shop.account.bot_token);
        let said = |text: &str| sent.iter().any(|sent| format!("{sent:?}").contains(text));
        Ok((said("I help") && said("And so do I")).then_some(()))
    })
    .await?;
    let early = world.telegram.sent(&shop.account.bot_token);
    assert!(
        !early
            .iter()
            .any(|sent| format!("{sent:?}").contains("Too early"))
    );
    Ok(())
}
