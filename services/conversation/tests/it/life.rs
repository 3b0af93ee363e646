//! The life of a chat: started, closed, spam, restored, named, read, noted.

use chassis::testing::request;
use conversation::app::images;
use switchboard_proto::common::v1::OpenReason;
use switchboard_proto::conversation::v1::{
    self as pb, chat_service_server::ChatService as _,
    conversation_service_server::ConversationService as _, message::Kind,
};
use tonic::Status;

use crate::world::{World, agent, at, noon, plain, reason, text_of};

impl World {
    async fn start(&self, by: &str, key: &str, request_id: &str) -> Result<pb::Chat, Status> {
        let ask = pb::StartConversationRequest {
            request_id: request_id.into(),
            chat_id: self.chat(key).to_string(),
        };
        let answer = self
            .api
            .start_conversation(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn spam(&self, by: &str, key: &str) -> Result<pb::Chat, Status> {
        let ask = pb::MarkSpamRequest {
            chat_id: self.chat(key).to_string(),
        };
        let answer = self.api.mark_spam(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn restore(&self, by: &str, key: &str) -> Result<pb::Chat, Status> {
        let ask = pb::RestoreChatRequest {
            chat_id: self.chat(key).to_string(),
        };
        let answer = self.api.restore_chat(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn update(&self, by: &str, ask: pb::UpdateChatRequest) -> Result<pb::Chat, Status> {
        let answer = self.api.update_chat(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn waive(&self, by: &str, key: &str, seen: &str) -> Result<pb::Chat, Status> {
        let ask = pb::WaiveReplyRequest {
            chat_id: self.chat(key).to_string(),
            message_id: seen.into(),
        };
        let answer = self.api.waive_reply(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn read(&self, by: &str, key: &str, seen: &str) -> Result<pb::Chat, Status> {
        let ask = pb::MarkReadRequest {
            chat_id: self.chat(key).to_string(),
            message_id: seen.into(),
        };
        let answer = self.api.mark_read(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().chat.unwrap())
    }

    async fn note(
        &self,
        by: &str,
        key: &str,
        request_id: &str,
        text: &str,
    ) -> Result<pb::Message, Status> {
        let ask = pb::AddNoteRequest {
            request_id: request_id.into(),
            chat_id: self.chat(key).to_string(),
            text: Some(plain(text)),
        };
        let answer = self.api.add_note(request(&self.as_agent(by), ask));
        Ok(answer.await?.into_inner().message.unwrap())
    }

    /// Kinds of the system messages of a chat with their actors, oldest first.
    async fn notices(&self, key: &str) -> Vec<(String, String)> {
        let history = self.history(key).await.into_iter();
        let notices = history.filter_map(|message| message.system);
        notices.map(|notice| (notice.kind, notice.actor)).collect()
    }

    async fn listed(&self, ask: pb::ListChatsRequest) -> Vec<String> {
        let answer = self.api.list_chats(request(&self.as_service(), ask)).await;
        let chats = answer.unwrap().into_inner().chats.into_iter();
        let clients = chats.map(|chat| chat.client.unwrap().user_id);
        clients.collect()
    }
}

fn by(name: &str) -> String {
    format!("agent:{}", agent(name))
}

#[tokio::test]
async fn f170_an_inactive_chat_is_taken_up_again_by_start() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let refused = world.start("ann", "7", "").await.unwrap_err();
    assert_eq!(reason(&refused), "CONVERSATION_OPEN");
    world.close(&world.as_agent("ann"), "7").await.unwrap();

    let chat = world.start("ann", "7", "again").await.unwrap();
    assert_eq!(
        chat.state(),
        pb::chat::State::Unassigned,
        "until assignment hears of it"
    );
    let open = chat.open_conversation.clone().unwrap();
    assert_eq!(open.number, 2);
    assert!(!chat.unread, "who opened it knows what stands there");
    assert_eq!(
        world.start("ann", "7", "again").await.unwrap(),
        chat,
        "a repeat is the first answer"
    );
    let told = world.events_of::<pb::ConversationOpened>().await;
    let last = told.last().unwrap();
    assert_eq!((told.len(), last.number), (2, 2));
    assert_eq!(last.reason(), OpenReason::AgentStart);
    assert_eq!(last.opener_agent_id, agent("ann").to_string());
    let notices = world.notices("7").await;
    assert_eq!(
        notices.last().unwrap(),
        &("conversation.opened".to_owned(), by("ann"))
    );

    // Nobody starts by a service's token: a conversation that an agent opens is that agent's.
    let ask = pb::StartConversationRequest {
        chat_id: world.chat("7").to_string(),
        ..Default::default()
    };
    let by_service = world
        .api
        .start_conversation(request(&world.as_service(), ask))
        .await;
    assert_eq!(reason(&by_service.unwrap_err()), "AGENT_REQUIRED");
}

#[tokio::test]
async fn f170_of_two_who_start_at_once_one_does() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    let (one, other) = tokio::join!(world.start("ann", "7", ""), world.start("bob", "7", ""));
    let refused = [one, other].into_iter().filter_map(Result::err);
    let reasons: Vec<String> = refused.map(|status| reason(&status)).collect();
    assert_eq!(reasons, ["CONVERSATION_OPEN"]);
    assert_eq!(
        world.count("select last from account_number").await,
        2,
        "no number is lost"
    );
}

#[tokio::test]
async fn f171_f172_f173_d13_spam_is_closed_only_counts_and_comes_back() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "buy!")])
        .await;
    let chat = world.spam("ann", "7").await.unwrap();
    assert!(chat.spam && chat.open_conversation.is_none());
    assert_eq!(chat.state(), pb::chat::State::Inactive);
    let kinds = ["conversation.opened", "conversation.closed", "chat.spam"];
    let notices = world.notices("7").await;
    assert_eq!(
        notices
            .iter()
            .map(|(kind, _)| kind.as_str())
            .collect::<Vec<_>>(),
        kinds
    );
    assert_eq!(notices[2].1, by("ann"));
    let told = world.published().await;
    assert_eq!((told["chat.spam"], told["conversation.closed"]), (1, 1));
    assert_eq!(
        world.spam("bob", "7").await.unwrap(),
        chat,
        "once more changes nothing"
    );
    assert_eq!(world.published().await, told);

    world
        .receive(&[world.message("7", "2", at(1), "buy!!")])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!((chat.unanswered, chat.open_conversation.clone()), (2, None));
    let waiting = pb::ListChatsRequest {
        unanswered_only: true,
        ..Default::default()
    };
    assert!(
        world.listed(waiting.clone()).await.is_empty(),
        "nobody is asked to answer spam"
    );
    for refused in [
        world.start("ann", "7", "").await.unwrap_err(),
        world
            .send(&world.as_agent("ann"), "7", "", "no")
            .await
            .unwrap_err(),
    ] {
        assert_eq!(reason(&refused), "CHAT_IS_SPAM");
    }

    let chat = world.restore("bob", "7").await.unwrap();
    assert!(!chat.spam);
    assert_eq!(chat.state(), pb::chat::State::Inactive);
    assert_eq!(
        world.notices("7").await.last().unwrap(),
        &("chat.restored".to_owned(), by("bob"))
    );
    assert_eq!(world.listed(waiting).await, ["7"]);
    world
        .receive(&[world.message("7", "3", at(2), "sorry, really")])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 2);
}

#[tokio::test]
async fn f163_f165_f166_a_chat_has_a_name_and_an_image_of_its_own() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let look = |name: Option<&str>, image: Option<&str>| pb::UpdateChatRequest {
        chat_id: world.chat("7").to_string(),
        name: name.map(Into::into),
        image_attachment_id: image.map(Into::into),
    };
    let image = "0198f7a0-0000-7000-8000-000000000001";
    let chat = world
        .update("ann", look(Some(" Olena of Kava "), None))
        .await
        .unwrap();
    assert_eq!(chat.name, "Olena of Kava");
    let chat = world.update("ann", look(None, Some(image))).await.unwrap();
    assert_eq!(
        (chat.name.as_str(), chat.image_attachment_id.as_str()),
        ("Olena of Kava", image)
    );
    let ask = pb::ListChatsRequest::default();
    let listed = world
        .api
        .list_chats(request(&world.as_service(), ask))
        .await
        .unwrap();
    assert_eq!(
        listed.into_inner().chats,
        std::slice::from_ref(&chat),
        "lists show it, too"
    );
    assert_eq!(
        world
            .update("bob", look(Some("Olena of Kava"), None))
            .await
            .unwrap(),
        chat
    );
    let told = world.events_of::<pb::ChatRenamed>().await;
    assert_eq!(told.len(), 2, "what is so already is no change");
    assert_eq!(
        (told[1].name.as_str(), told[1].image_attachment_id.as_str()),
        ("Olena of Kava", image)
    );
    let chat = world.update("ann", look(Some(""), Some(""))).await.unwrap();
    assert_eq!(
        (chat.name.as_str(), chat.image_attachment_id.as_str()),
        ("", "")
    );
    let kinds: Vec<String> = world
        .notices("7")
        .await
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(
        kinds[1..],
        ["chat.renamed", "chat.image-changed", "chat.renamed"]
    );
    let gone = uuid::Uuid::from_u128(9);
    world.files.gone.lock().unwrap().push(gone);
    for (wrong, field) in [
        (look(None, Some(&gone.to_string())), "image_attachment_id"),
        (look(None, None), "name"),
        (look(Some(&"x".repeat(201)), None), "name"),
        (look(Some("two\nlines"), None), "name"),
        (look(None, Some("a picture")), "image_attachment_id"),
    ] {
        let refused = world.update("ann", wrong).await.unwrap_err();
        assert!(refused.message().contains(field), "{refused:?}");
    }
}

#[tokio::test]
async fn f072_f206_f209_reading_answers_nothing_and_a_waived_reply_waits_no_more() {
    let world = World::new().await;
    world
        .receive(&[
            world.message("7", "1", noon(), "hello"),
            world.message("8", "1", at(1), "hi"),
        ])
        .await;
    let unread = pb::ListChatsRequest {
        read_state: pb::list_chats_request::ReadState::Unread.into(),
        ..Default::default()
    };
    let read = pb::ListChatsRequest {
        read_state: pb::list_chats_request::ReadState::Read.into(),
        ..Default::default()
    };
    let waiting = pb::ListChatsRequest {
        unanswered_only: true,
        ..Default::default()
    };
    assert_eq!(world.listed(unread.clone()).await, ["8", "7"]);

    let chat = world.read("ann", "7", "").await.unwrap();
    assert_eq!(
        (chat.unread, chat.waiting, chat.unanswered),
        (false, true, 1)
    );
    assert_eq!(world.listed(unread.clone()).await, ["8"]);
    assert_eq!(world.listed(read.clone()).await, ["7"]);
    assert_eq!(
        world.listed(waiting.clone()).await,
        ["8", "7"],
        "reading answers nothing"
    );
    let marks = world.events_of::<pb::ConversationRead>().await;
    assert_eq!(
        marks.len(),
        1,
        "that the client's opening is unread is no event"
    );
    assert_eq!(
        (marks[0].number, marks[0].unread, marks[0].version),
        (1, false, 1)
    );
    world.read("bob", "7", "").await.unwrap();
    assert_eq!(
        world.events_of::<pb::ConversationRead>().await.len(),
        1,
        "read is read"
    );

    let chat = world.waive("ann", "8", "").await.unwrap();
    assert_eq!(
        (chat.unread, chat.waiting, chat.unanswered),
        (false, false, 1)
    );
    assert_eq!(world.listed(waiting.clone()).await, ["7"]);
    assert_eq!(
        world.notices("8").await.last().unwrap(),
        &("chat.reply-waived".to_owned(), by("ann"))
    );

    // The client's next word is unread and waits; who saw only what stood before it waives nothing.
    let seen = world.client_messages("8").await[0].message_id.clone();
    world
        .receive(&[world.message("8", "2", at(3), "anybody?")])
        .await;
    let chat = world.waive("ann", "8", &seen).await.unwrap();
    assert_eq!(
        (chat.unread, chat.waiting, chat.unanswered),
        (true, true, 2)
    );
    assert!(world.read("ann", "8", &seen).await.unwrap().unread);
    let marks = world.events_of::<pb::ConversationRead>().await;
    let marks: Vec<_> = marks
        .iter()
        .map(|mark| (mark.number, mark.unread, mark.version))
        .collect();
    assert_eq!(marks, [(1, false, 1), (2, false, 1), (2, true, 2)]);
    assert_eq!(
        reason(&world.read("ann", "7", &seen).await.unwrap_err()),
        "MESSAGE_NOT_FOUND"
    );

    // Who answers has read.
    world
        .send(&world.as_agent("ann"), "8", "", "yes")
        .await
        .unwrap();
    let chat = world.get_chat(&world.as_service(), "8").await.unwrap();
    assert_eq!(
        (chat.unread, chat.waiting),
        (false, true),
        "queued is not sent"
    );
}

#[tokio::test]
async fn f098_x09_x12_a_note_is_for_agents_and_answers_nothing() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let before = world.get_chat(&world.as_service(), "7").await.unwrap();
    let note = world
        .note("ann", "7", "n1", "an old customer")
        .await
        .unwrap();
    assert_eq!(
        (note.kind(), note.agent_id.clone()),
        (Kind::Note, agent("ann").to_string())
    );
    assert_eq!(
        (text_of(&note).as_str(), note.delivery),
        ("an old customer", None)
    );
    assert_eq!(
        world
            .note("ann", "7", "n1", "an old customer")
            .await
            .unwrap()
            .message_id,
        note.message_id
    );
    let reused = world.note("ann", "7", "n1", "another").await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
    assert_eq!(
        world.get_chat(&world.as_service(), "7").await.unwrap(),
        before,
        "nothing else changed"
    );
    let told = world.published().await;
    assert!(
        !told.contains_key("message.queued"),
        "nothing leaves: {told:?}"
    );
    assert_eq!(
        world.count("select count(*) from outbound_command").await,
        0
    );
    assert_eq!(
        world.history("7").await.last().unwrap().message_id,
        note.message_id
    );

    // Into an inactive chat, too, which stays so.
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world.note("bob", "7", "", "paid by now").await.unwrap();
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.state(), pb::chat::State::Inactive);
}

#[tokio::test]
async fn d33_agents_read_system_messages_in_their_accounts_language() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let words = async || world.history("7").await[0].system.clone().unwrap().text;
    assert_eq!(words().await, "Conversation 1 was opened");
    let account = switchboard_proto::assignment::v1::Account {
        slug: "acme".into(),
        language: "uk".into(),
        ..Default::default()
    };
    let created = switchboard_proto::assignment::v1::AccountCreated {
        account: Some(account),
    };
    world
        .hear(&[world.event(1, uuid::Uuid::nil(), &created)])
        .await;
    assert_eq!(words().await, "Розмову 1 відкрито");
}

#[tokio::test]
async fn f165_an_image_is_kept_for_as_long_as_a_chat_shows_it() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
    let image = uuid::Uuid::from_u128(77);
    let look = |image: &str| pb::UpdateChatRequest {
        chat_id: world.chat("7").to_string(),
        image_attachment_id: Some(image.into()),
        ..Default::default()
    };
    world.update("ann", look(&image.to_string())).await.unwrap();
    let held = || std::mem::take(&mut *world.files.held.lock().unwrap());
    assert_eq!(held(), [image]);
    let hold_on = async |days: i64| {
        let later = chassis::clock::now() + time::Duration::days(days);
        images::hold_on(&world.db.pool, &*world.files, later).await
    };
    assert_eq!(hold_on(0).await.unwrap(), 0, "it was told today");
    assert_eq!(hold_on(2).await.unwrap(), 1);
    assert_eq!(held(), [image]);
    assert_eq!(hold_on(2).await.unwrap(), 0, "once a day");
    world.update("ann", look("")).await.unwrap();
    assert_eq!(hold_on(4).await.unwrap(), 0, "nobody shows it any more");
}
