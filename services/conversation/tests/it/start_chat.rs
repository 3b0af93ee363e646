//! A contact is written to first (F084-F088).

use chassis::testing::request;
use conversation::app::start_chat::Line;
use conversation::domain::first_message::{Contact, Other};
use conversation::domain::words::ChannelKind;
use switchboard_proto::common::v1::OpenReason;
use switchboard_proto::conversation::v1::{
    self as pb, chat::State, chat_service_server::ChatService as _,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::world::{World, agent, at, client, inbound_message, plain, reason, text_of};

const OLENA: Uuid = Uuid::from_u128(0x01e4a);
const ADDRESS: &str = "olena@client.example";

impl World {
    /// A mailbox, and a contact with an address.
    async fn with_mailbox() -> Self {
        let world = Self::new().await;
        let line = Line {
            kind: ChannelKind::Email,
            enabled: true,
            writes_first: true,
        };
        world
            .files
            .lines
            .lock()
            .unwrap()
            .insert(world.channel, line);
        world.knows(&["olena@client.example"]);
        world
    }

    fn knows(&self, emails: &[&str]) {
        self.has_contact(Contact {
            id: OLENA,
            name: "Olena".into(),
            emails: emails.iter().map(ToString::to_string).collect(),
            ..Contact::default()
        });
    }

    /// What the CRM says of a contact.
    fn has_contact(&self, contact: Contact) {
        let mut contacts = self.contacts.0.lock().unwrap();
        contacts.insert(contact.id, contact);
    }

    /// The CRM says that the address is Olena's.
    fn settled(&self) {
        self.has_contact(Contact {
            id: OLENA,
            name: "Olena".into(),
            emails: vec![ADDRESS.into()],
            identities: vec![("email".into(), ADDRESS.into())],
            others: Vec::new(),
        });
    }

    /// The client writes by themselves.
    async fn writes(&self, key: &str) {
        let mut item = self.item(key, ADDRESS, at(0), gateway_message(key, "Good day"));
        let mut person = client(ADDRESS, "Olena Kovalenko");
        person.scope = "email".into();
        item.client = Some(person);
        self.receive(&[item]).await;
    }

    fn wanted(&self, request_id: &str, text: &str) -> pb::StartChatRequest {
        pb::StartChatRequest {
            request_id: request_id.into(),
            contact_id: OLENA.to_string(),
            channel_id: self.channel.to_string(),
            text: (!text.is_empty()).then(|| plain(text)),
            ..Default::default()
        }
    }

    async fn begin(
        &self,
        by: &str,
        ask: pb::StartChatRequest,
    ) -> Result<pb::StartChatResponse, Status> {
        let answer = self.api.start_chat(request(&self.as_agent(by), ask)).await;
        Ok(answer?.into_inner())
    }
}

#[tokio::test]
async fn f084_f087_who_writes_first_opens_the_conversation_and_the_message_goes_out() {
    let world = World::with_mailbox().await;
    let mut ask = world.wanted("r1", "Hello, Olena");
    ask.subject = " Your order ".into();
    let begun = world.begin("Petro", ask.clone()).await.unwrap();
    let (chat, message) = (begun.chat.unwrap(), begun.message.unwrap());
    assert_eq!(chat.chat_id, world.chat("olena@client.example").to_string());
    assert_eq!(chat.client.as_ref().unwrap().name, "Olena");
    assert_eq!(chat.state(), State::Unassigned, "until assignment says so");
    assert_eq!(
        (&*text_of(&message), &*message.subject),
        ("Hello, Olena", "Your order")
    );

    let opened = world
        .events_of::<pb::ConversationOpened>()
        .await
        .pop()
        .unwrap();
    assert_eq!(opened.reason(), OpenReason::AgentStart);
    assert_eq!(opened.opener_agent_id, agent("Petro").to_string());
    assert_eq!(opened.contact_id, OLENA.to_string());
    assert!(opened.chat_is_new);
    let client = opened.client.unwrap();
    assert_eq!(
        (&*client.scope, &*client.user_id),
        ("email", "olena@client.example")
    );
    let queued = world.events_of::<pb::MessageQueued>().await.pop().unwrap();
    let command = queued.command.unwrap();
    assert_eq!(
        (&*command.chat_key, &*command.subject),
        ("olena@client.example", "Your order")
    );
    assert!(
        world.assignment.asked.lock().unwrap().is_empty(),
        "nobody has to be asked"
    );

    // Repeated it is the same, and nothing goes out again, whatever became of the chat meanwhile.
    let before = world.everything().await;
    let again = world.begin("Petro", ask.clone()).await.unwrap();
    assert_eq!(again.message.unwrap().message_id, message.message_id);
    assert_eq!(world.everything().await, before);
    world
        .close(&world.as_agent("Petro"), "olena@client.example")
        .await
        .unwrap();
    let before = world.everything().await;
    let again = world.begin("Petro", ask.clone()).await.unwrap();
    assert_eq!(again.message.unwrap().message_id, message.message_id);
    assert_eq!(world.everything().await, before);
    ask.text = Some(plain("Another"));
    let reused = world.begin("Petro", ask).await.unwrap_err();
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn f087_a_chat_is_made_ready_and_written_into_later() {
    let world = World::with_mailbox().await;
    let begun = world.begin("Petro", world.wanted("", "")).await.unwrap();
    let chat = begun.chat.unwrap();
    assert!(begun.message.is_none());
    assert_eq!(chat.open_conversation.unwrap().number, 1);
    let petro = world.as_agent("Petro");
    let sent = world.send(&petro, "olena@client.example", "", "Hello");
    assert_eq!(sent.await.unwrap().conversation_id, {
        let opened = world.events_of::<pb::ConversationOpened>().await;
        assert_eq!(opened.len(), 1);
        opened[0].conversation_id.clone()
    });

    // It is open: another call finds it, and a message is one like any other.
    let again = world.begin("Petro", world.wanted("", "")).await.unwrap();
    assert_eq!(again.chat.unwrap().open_conversation.unwrap().number, 1);
    let refused = Status::failed_precondition("Petro answers here");
    let mut refused = Some(refused);
    world
        .assignment
        .answers(move |_| Err(refused.take().unwrap()));
    let other = world.begin("Nadia", world.wanted("", "Me too")).await;
    assert_eq!(other.unwrap_err().message(), "Petro answers here");
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'agent'")
            .await,
        1
    );
}

#[tokio::test]
async fn f084_who_wrote_before_is_written_to_in_the_chat_that_there_is() {
    let world = World::with_mailbox().await;
    world.writes("m1").await;
    world.settled();
    world
        .close(&world.as_agent("Petro"), "olena@client.example")
        .await
        .unwrap();
    let begun = world
        .begin("Petro", world.wanted("", "And again"))
        .await
        .unwrap();
    let chat = begun.chat.unwrap();
    assert_eq!(
        chat.client.unwrap().name,
        "Olena Kovalenko",
        "what they call themselves"
    );
    assert_eq!(chat.open_conversation.unwrap().number, 2);
    assert_eq!(world.count("select count(*) from chat").await, 1);
    assert_eq!(world.count("select count(*) from client").await, 1);
    let opened = world
        .events_of::<pb::ConversationOpened>()
        .await
        .pop()
        .unwrap();
    assert!(!opened.chat_is_new);
}

fn gateway_message(
    key: &str,
    text: &str,
) -> switchboard_proto::channel_gateway::v1::inbound_event::Kind {
    switchboard_proto::channel_gateway::v1::inbound_event::Kind::Message(inbound_message(key, text))
}

#[tokio::test]
async fn f085_f088_what_is_missing_is_said_before_anything_is_done() {
    let world = World::with_mailbox().await;
    let refusal = async |ask| {
        let refused = world.begin("Petro", ask).await.unwrap_err();
        (refused.code(), reason(&refused))
    };
    let wanted = || world.wanted("r", "Hello");
    let precondition = |reason: &str| (Code::FailedPrecondition, reason.to_owned());

    let mut other = wanted();
    other.address = "petro@client.example".into();
    assert_eq!(refusal(other).await, precondition("ADDRESS_NOT_OF_CONTACT"));
    world.knows(&[]);
    assert_eq!(
        refusal(wanted()).await,
        precondition("CONTACT_WITHOUT_ADDRESS")
    );
    let mut unknown = wanted();
    unknown.contact_id = Uuid::from_u128(9).to_string();
    let refused = world.begin("Petro", unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    for (line, expected) in [
        ((ChannelKind::Email, false, true), "CHANNEL_NOT_ENABLED"),
        ((ChannelKind::TelegramBot, true, false), "CHANNEL_CANNOT"),
    ] {
        let (kind, enabled, writes_first) = line;
        let line = Line {
            kind,
            enabled,
            writes_first,
        };
        world
            .files
            .lines
            .lock()
            .unwrap()
            .insert(world.channel, line);
        assert_eq!(refusal(wanted()).await, precondition(expected));
    }
    let mut lines = wanted();
    lines.subject = "two\nlines".into();
    assert_eq!(
        world.begin("Petro", lines).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    for table in ["select count(*) from chat", "select count(*) from client"] {
        assert_eq!(world.count(table).await, 0);
    }
}

#[tokio::test]
async fn f084_what_is_written_to_a_contact_stands_in_no_other_contacts_chat() {
    let world = World::with_mailbox().await;
    let boris = Uuid::from_u128(0xb0815);
    let contact = |others: Vec<(String, Option<Other>)>| Contact {
        id: OLENA,
        name: "Olena".into(),
        emails: vec![ADDRESS.into()],
        identities: Vec::new(),
        others,
    };
    let other = Other {
        id: boris,
        name: "Boris".into(),
    };
    let before = world.everything().await;
    world.has_contact(contact(vec![(ADDRESS.into(), Some(other))]));
    for text in ["Hello", ""] {
        let refused = world.begin("Petro", world.wanted("", text)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), "ADDRESS_OF_OTHER_CONTACT");
        let facts = refused.get_error_details();
        let facts = &facts.error_info().unwrap().metadata;
        assert_eq!(facts["contact_id"], boris.to_string());
        assert_eq!(facts["contact_name"], "Boris");
        assert!(refused.message().contains("Boris"), "{refused}");
    }
    // Whom the caller does not see is not named.
    world.has_contact(contact(vec![(ADDRESS.into(), None)]));
    let refused = world.begin("Petro", world.wanted("", "Hello")).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), "ADDRESS_OF_OTHER_CONTACT");
    let facts = refused.get_error_details();
    assert!(
        !facts
            .error_info()
            .unwrap()
            .metadata
            .contains_key("contact_id")
    );
    assert_eq!(
        world.everything().await,
        before,
        "nothing is sent, nothing begins"
    );
}

#[tokio::test]
async fn f084_nothing_is_sent_while_nobody_knows_who_has_just_written() {
    let world = World::with_mailbox().await;
    // The CRM has not heard of the conversation.
    world.writes("m1").await;
    let before = world.everything().await;
    let refused = world.begin("Petro", world.wanted("", "Hello")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason(&refused), "ADDRESS_NOT_SETTLED");
    assert_eq!(world.everything().await, before);
    // Nor is it on another line, where there is no chat yet.
    let mut elsewhere = world.wanted("", "Hello");
    let line = world.files.lines.lock().unwrap()[&world.channel];
    let channel = Uuid::from_u128(0xc4a2);
    world.files.lines.lock().unwrap().insert(channel, line);
    elsewhere.channel_id = channel.to_string();
    let refused = world.begin("Petro", elsewhere.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "ADDRESS_NOT_SETTLED");
    assert_eq!(world.everything().await, before);
    // It has, and it is whom the agent means.
    world.settled();
    world
        .begin("Petro", world.wanted("", "Hello"))
        .await
        .unwrap();
    world.begin("Petro", elsewhere).await.unwrap();
}

#[tokio::test]
async fn f084_of_two_contacts_with_one_address_the_first_that_is_written_to_has_the_chat() {
    let world = World::with_mailbox().await;
    let boris = Uuid::from_u128(0xb0815);
    world.has_contact(Contact {
        id: boris,
        name: "Boris".into(),
        emails: vec![ADDRESS.into()],
        ..Contact::default()
    });
    let first = world.wanted("r1", "Hello, Olena");
    let sent = world.begin("Petro", first.clone()).await.unwrap();
    let mut other = world.wanted("r2", "Hello, Boris");
    other.contact_id = boris.to_string();
    let refused = world.begin("Petro", other).await.unwrap_err();
    assert_eq!(reason(&refused), "ADDRESS_NOT_SETTLED");
    // To her more may be written before the CRM has heard of it, and a repeat is answered whatever it says by now.
    let more = world.wanted("r3", "One more thing");
    world.begin("Petro", more.clone()).await.unwrap();
    world.has_contact(Contact {
        id: OLENA,
        name: "Olena".into(),
        emails: vec![ADDRESS.into()],
        identities: Vec::new(),
        others: vec![(ADDRESS.into(), None)],
    });
    let again = world.begin("Petro", first).await.unwrap();
    assert_eq!(
        again.message.unwrap().message_id,
        sent.message.unwrap().message_id
    );
    assert!(world.begin("Petro", more).await.unwrap().message.is_some());
    assert_eq!(
        world
            .count("select count(*) from message where kind = 'agent'")
            .await,
        2
    );
}

#[tokio::test]
async fn f084_spam_stays_spam_and_two_at_once_open_one_conversation() {
    let world = World::with_mailbox().await;
    let both = tokio::join!(
        world.begin("Petro", world.wanted("", "")),
        world.begin("Nadia", world.wanted("", "")),
    );
    let number = |begun: Result<pb::StartChatResponse, Status>| {
        begun
            .unwrap()
            .chat
            .unwrap()
            .open_conversation
            .unwrap()
            .number
    };
    assert_eq!((number(both.0), number(both.1)), (1, 1));
    assert_eq!(world.count("select count(*) from conversation").await, 1);

    let ask = pb::MarkSpamRequest {
        chat_id: world.chat("olena@client.example").to_string(),
    };
    let marked = world.api.mark_spam(request(&world.as_agent("Petro"), ask));
    marked.await.unwrap();
    let refused = world.begin("Petro", world.wanted("", "Hello")).await;
    assert_eq!(reason(&refused.unwrap_err()), "CHAT_IS_SPAM");
}

#[tokio::test]
async fn x07_numbers_have_no_gaps_under_sixty_four_who_write_first() {
    let world = World::with_mailbox().await;
    let petro = world.as_agent("Petro");
    let ids: Vec<Uuid> = (1..=64).map(|n| Uuid::from_u128(0x0100 + n)).collect();
    for id in &ids {
        let contact = Contact {
            id: *id,
            name: "Somebody".into(),
            emails: vec![format!("{}@client.example", id.simple())],
            identities: Vec::new(),
            others: Vec::new(),
        };
        world.contacts.0.lock().unwrap().insert(*id, contact);
    }
    let begun = ids.iter().map(|id| {
        let ask = pb::StartChatRequest {
            contact_id: id.to_string(),
            ..world.wanted(&id.to_string(), "Hello")
        };
        world.api.start_chat(request(&petro, ask))
    });
    for answer in futures::future::join_all(begun).await {
        answer.unwrap();
    }
    let numbers: Vec<i64> = sqlx::query_scalar("select number from conversation order by number")
        .fetch_all(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=64).collect::<Vec<i64>>());
    assert_eq!(world.events_of::<pb::MessageQueued>().await.len(), 64);
}
