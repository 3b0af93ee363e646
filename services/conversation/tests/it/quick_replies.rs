//! Quick replies: whose they are, who sees and changes them, how they are found, and what they are in a chat.

mod finding;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::testing::{audited, caller, full_access, request, service_caller, told};
use conversation::app::quick_replies::{Files, QuickReplies, Staff};
use conversation::grpc::quick_replies::Api;
use switchboard_proto::common::v1::{Text, TextEntity, text_entity::Kind};
use switchboard_proto::conversation::v1::quick_reply::OwnerKind;
use switchboard_proto::conversation::v1::{
    self as pb, quick_reply_service_server::QuickReplyService as _,
};
use switchboard_proto::operator::v1::ListAuditEntriesRequest;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::world::{World, agent, at, plain, reason};

/// A group that there is.
const SALES: Uuid = Uuid::from_u128(0x5a1e5);

/// Files that were held, and in whose name.
type Held = (Option<AgentId>, Vec<Uuid>);

/// A stand-in for assignment and the gateway.
#[derive(Clone, Default)]
struct Others {
    /// Who is in `SALES`.
    sales: Arc<Mutex<BTreeSet<AgentId>>>,
    names: Arc<Mutex<BTreeMap<AgentId, String>>>,
    /// Files that there are.
    files: Arc<Mutex<BTreeSet<Uuid>>>,
    /// What was held, and in whose name.
    held: Arc<Mutex<Vec<Held>>>,
    away: Arc<Mutex<bool>>,
    asked: Arc<Mutex<usize>>,
}

impl Others {
    fn ask(&self) -> Result<(), Status> {
        *self.asked.lock().unwrap() += 1;
        if *self.away.lock().unwrap() {
            return Err(chassis::grpc::unavailable("conversation", "assignment"));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Staff for Others {
    async fn groups(&self, _: &AccountSlug, agent: AgentId) -> Result<Arc<[Uuid]>, Status> {
        self.ask()?;
        let within = self.sales.lock().unwrap().contains(&agent);
        Ok(if within {
            Arc::new([SALES])
        } else {
            Arc::new([])
        })
    }

    async fn has_group(&self, account: &AccountSlug, group: Uuid) -> Result<bool, Status> {
        self.ask()?;
        Ok(account.as_str() == "acme" && group == SALES)
    }

    async fn name(&self, _: &AccountSlug, agent: AgentId) -> Result<Option<String>, Status> {
        self.ask()?;
        Ok(self.names.lock().unwrap().get(&agent).cloned())
    }
}

#[tonic::async_trait]
impl Files for Others {
    async fn hold(
        &self,
        _: &AccountSlug,
        agent: Option<AgentId>,
        files: &[Uuid],
    ) -> Result<Vec<Uuid>, Status> {
        self.ask()?;
        self.held.lock().unwrap().push((agent, files.to_vec()));
        let known = self.files.lock().unwrap();
        Ok(files
            .iter()
            .copied()
            .filter(|file| known.contains(file))
            .collect())
    }
}

/// A world with quick replies.
struct Shop {
    world: World,
    others: Others,
    replies: QuickReplies,
    api: Api,
}

impl Shop {
    async fn new() -> Self {
        let world = World::new().await;
        let others = Others::default();
        let replies = QuickReplies {
            pool: world.db.pool.clone(),
            staff: Arc::new(others.clone()),
            files: Arc::new(others.clone()),
        };
        Self {
            world,
            others,
            api: Api(replies.clone()),
            replies,
        }
    }

    /// An agent whose role has no settings.
    fn agent(&self, name: &str) -> Caller {
        let mut access = full_access(agent(name));
        access.settings = false;
        caller(
            &self.world.account,
            agent(name),
            &["chats:*", "channels:*"],
            access,
        )
    }

    /// An agent whose role has settings.
    fn admin(&self) -> Caller {
        let access = full_access(agent("admin"));
        caller(
            &self.world.account,
            agent("admin"),
            &["chats:*", "channels:*"],
            access,
        )
    }

    fn service(&self) -> Caller {
        let scopes = ["chats:*", "channels:*"];
        service_caller(Some(&self.world.account), "shop", &scopes, None)
    }

    async fn create(
        &self,
        by: &Caller,
        new: pb::CreateQuickReplyRequest,
    ) -> Result<pb::QuickReply, Status> {
        let answer = self.api.create_quick_reply(request(by, new)).await?;
        Ok(answer.into_inner().quick_reply.unwrap())
    }

    async fn update(
        &self,
        by: &Caller,
        change: pb::UpdateQuickReplyRequest,
    ) -> Result<pb::QuickReply, Status> {
        let answer = self.api.update_quick_reply(request(by, change)).await?;
        Ok(answer.into_inner().quick_reply.unwrap())
    }

    async fn get(&self, by: &Caller, id: &str) -> Result<pb::QuickReply, Status> {
        let get = pb::GetQuickReplyRequest {
            quick_reply_id: id.into(),
        };
        let answer = self.api.get_quick_reply(request(by, get)).await?;
        Ok(answer.into_inner().quick_reply.unwrap())
    }

    async fn delete(&self, by: &Caller, id: &str) -> Result<(), Status> {
        let delete = pb::DeleteQuickReplyRequest {
            quick_reply_id: id.into(),
        };
        self.api
            .delete_quick_reply(request(by, delete))
            .await
            .map(drop)
    }

    /// All pages of a list.
    async fn list(
        &self,
        by: &Caller,
        mut ask: pb::ListQuickRepliesRequest,
    ) -> Result<Vec<pb::QuickReply>, Status> {
        let mut found = Vec::new();
        loop {
            let answer = self
                .api
                .list_quick_replies(request(by, ask.clone()))
                .await?;
            let page = answer.into_inner();
            found.extend(page.quick_replies);
            if page.next_page_token.is_empty() {
                return Ok(found);
            }
            ask.page_token = page.next_page_token;
        }
    }

    async fn titles(&self, by: &Caller, ask: pb::ListQuickRepliesRequest) -> Vec<String> {
        let found = self.list(by, ask).await.unwrap();
        found.into_iter().map(|reply| reply.title).collect()
    }

    async fn render(
        &self,
        by: &Caller,
        chat_key: &str,
        id: &str,
    ) -> Result<pb::RenderQuickReplyResponse, Status> {
        let ask = pb::RenderQuickReplyRequest {
            chat_id: self.world.chat(chat_key).to_string(),
            quick_reply_id: id.into(),
        };
        Ok(self
            .api
            .render_quick_reply(request(by, ask))
            .await?
            .into_inner())
    }

    /// Stores one quick reply of each owner, by the name of the owner.
    async fn one_of_each(&self) -> BTreeMap<&'static str, String> {
        let mut ids = BTreeMap::new();
        for (name, by, kind, owner) in [
            ("account", self.service(), OwnerKind::Account, String::new()),
            ("group", self.service(), OwnerKind::Group, SALES.to_string()),
            ("ann", self.agent("ann"), OwnerKind::Agent, String::new()),
            (
                "bob",
                self.agent("bob"),
                OwnerKind::Agent,
                agent("bob").to_string(),
            ),
        ] {
            let made = self
                .create(&by, new(kind, &owner, name, name))
                .await
                .unwrap();
            ids.insert(name, made.quick_reply_id);
        }
        ids
    }
}

fn new(kind: OwnerKind, owner: &str, title: &str, text: &str) -> pb::CreateQuickReplyRequest {
    pb::CreateQuickReplyRequest {
        owner_kind: kind.into(),
        owner_id: owner.into(),
        title: title.into(),
        text: Some(plain(text)),
        ..Default::default()
    }
}

/// No narrowing.
fn everything() -> pb::ListQuickRepliesRequest {
    pb::ListQuickRepliesRequest::default()
}

fn own(title: &str, text: &str) -> pb::CreateQuickReplyRequest {
    new(OwnerKind::Agent, "", title, text)
}

/// The field that a refusal names, with what must hold.
fn named(status: &Status) -> (String, String) {
    let details = status.get_details_bad_request().unwrap();
    let violation = &details.field_violations[0];
    (violation.field.clone(), violation.description.clone())
}

#[tokio::test]
async fn f094_quick_replies_are_prepared_changed_and_deleted() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let made = shop
        .create(
            &ann,
            pb::CreateQuickReplyRequest {
                folder: " Deliveries ".into(),
                shortcut: "/Shipped".into(),
                ..own("Shipped", "It is on its way.")
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (&*made.folder, &*made.shortcut, &*made.title, made.revision),
        ("Deliveries", "shipped", "Shipped", 1)
    );
    assert_eq!(made.owner_kind(), OwnerKind::Agent);
    assert_eq!(made.owner_id, agent("ann").to_string());
    assert_eq!(shop.get(&ann, &made.quick_reply_id).await.unwrap(), made);

    let change = pb::UpdateQuickReplyRequest {
        quick_reply_id: made.quick_reply_id.clone(),
        title: Some("Sent".into()),
        shortcut: Some(String::new()),
        ..Default::default()
    };
    let changed = shop.update(&ann, change.clone()).await.unwrap();
    assert_eq!(
        (
            &*changed.title,
            &*changed.shortcut,
            &*changed.folder,
            changed.revision
        ),
        ("Sent", "", "Deliveries", 2)
    );
    assert_eq!(changed.text, made.text);
    let again = shop.update(&ann, change).await.unwrap();
    assert_eq!(again, changed, "what changes nothing is no change");

    shop.delete(&ann, &made.quick_reply_id).await.unwrap();
    for gone in [
        shop.get(&ann, &made.quick_reply_id).await.unwrap_err(),
        shop.delete(&ann, &made.quick_reply_id).await.unwrap_err(),
    ] {
        assert_eq!(reason(&gone), "QUICK_REPLY_NOT_FOUND");
    }
}

#[tokio::test]
async fn f094_what_is_wrong_is_named() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let fine = || own("Hello", "Hello");
    for (field, wrong) in [
        (
            "title",
            pb::CreateQuickReplyRequest {
                title: " ".into(),
                ..fine()
            },
        ),
        (
            "title",
            pb::CreateQuickReplyRequest {
                title: "x".repeat(101),
                ..fine()
            },
        ),
        (
            "folder",
            pb::CreateQuickReplyRequest {
                folder: "x".repeat(61),
                ..fine()
            },
        ),
        (
            "shortcut",
            pb::CreateQuickReplyRequest {
                shortcut: "a b".into(),
                ..fine()
            },
        ),
        (
            "text.text",
            pb::CreateQuickReplyRequest {
                text: None,
                ..fine()
            },
        ),
        ("text.text", own("x", "Hello {{client.nmae}}")),
        ("text.text", own("x", &"x".repeat(20_001))),
        (
            "text.entities[0]",
            pb::CreateQuickReplyRequest {
                text: Some(bold("abc", 2, 2)),
                ..fine()
            },
        ),
        (
            "owner_kind",
            pb::CreateQuickReplyRequest {
                owner_kind: 0,
                ..fine()
            },
        ),
        (
            "owner_id",
            new(OwnerKind::Agent, &agent("bob").to_string(), "x", "x"),
        ),
        (
            "owner_id",
            new(OwnerKind::Account, &SALES.to_string(), "x", "x"),
        ),
        ("owner_id", new(OwnerKind::Group, "", "x", "x")),
        (
            "attachment_ids",
            pb::CreateQuickReplyRequest {
                attachment_ids: vec![SALES.to_string(); 21],
                ..fine()
            },
        ),
    ] {
        let refused = shop.create(&ann, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert_eq!(named(&refused).0, field);
    }
    let refused = shop.create(&ann, own("x", "Hi {{x}}")).await.unwrap_err();
    let said = named(&refused).1;
    assert!(
        said.starts_with("`x` at character 4 is no variable: there are client.name,"),
        "{said}"
    );
    let admin = shop.admin();
    for (owner, by) in [
        (
            new(OwnerKind::Group, &Uuid::from_u128(1).to_string(), "x", "x"),
            &admin,
        ),
        (
            new(OwnerKind::Agent, &agent("ann").to_string(), "x", "x"),
            &shop.service(),
        ),
    ] {
        let refused = shop.create(by, owner).await.unwrap_err();
        assert_eq!(named(&refused).0, "owner_id", "that there is not");
    }
    assert_eq!(
        shop.world.count("select count(*) from quick_reply").await,
        0
    );
}

#[tokio::test]
async fn f094_a_shortcut_is_of_one_reply_of_each_owner() {
    let shop = Shop::new().await;
    let (ann, bob) = (shop.agent("ann"), shop.agent("bob"));
    let hi = || pb::CreateQuickReplyRequest {
        shortcut: "hi".into(),
        ..own("Hi", "Hi")
    };
    shop.create(&ann, hi()).await.unwrap();
    shop.create(&bob, hi()).await.unwrap();
    let refused = shop.create(&ann, hi()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(reason(&refused), "SHORTCUT_TAKEN");
    let other = shop.create(&ann, own("Other", "x")).await.unwrap();
    let change = pb::UpdateQuickReplyRequest {
        quick_reply_id: other.quick_reply_id,
        shortcut: Some("HI".into()),
        ..Default::default()
    };
    let refused = shop.update(&ann, change).await.unwrap_err();
    assert_eq!(reason(&refused), "SHORTCUT_TAKEN");
}

#[tokio::test]
async fn f094_of_two_changes_made_for_one_revision_one_is_refused() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let made = shop.create(&ann, own("Hello", "Hello")).await.unwrap();
    for round in 1..=10 {
        let change = |title: &str| pb::UpdateQuickReplyRequest {
            quick_reply_id: made.quick_reply_id.clone(),
            title: Some(format!("{title} {round}")),
            expected_revision: Some(round),
            ..Default::default()
        };
        let (one, two) = tokio::join!(
            shop.update(&ann, change("one")),
            shop.update(&ann, change("two"))
        );
        let (done, refused) = match (one, two) {
            (Ok(done), Err(refused)) | (Err(refused), Ok(done)) => (done, refused),
            both => panic!("one of two is refused: {both:?}"),
        };
        assert_eq!(refused.code(), Code::Aborted);
        assert_eq!(reason(&refused), "CHANGED_MEANWHILE");
        assert_eq!(done.revision, round + 1);
        let kept = shop.get(&ann, &made.quick_reply_id).await.unwrap();
        assert_eq!(kept, done);
    }
}

#[tokio::test]
async fn b02_a_repeat_gets_the_first_answer_whatever_became_of_its_group() {
    let shop = Shop::new().await;
    let admin = shop.admin();
    let ask = pb::CreateQuickReplyRequest {
        request_id: "r1".into(),
        ..new(OwnerKind::Group, &SALES.to_string(), "Hello", "Hello")
    };
    let made = shop.create(&admin, ask.clone()).await.unwrap();
    *shop.others.away.lock().unwrap() = true;
    assert_eq!(shop.create(&admin, ask.clone()).await.unwrap(), made);
    *shop.others.away.lock().unwrap() = false;
    let other = pb::CreateQuickReplyRequest {
        title: "Other".into(),
        ..ask.clone()
    };
    let refused = shop.create(&admin, other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    // Two at once make one.
    let twice = pb::CreateQuickReplyRequest {
        request_id: "r2".into(),
        ..ask
    };
    let (one, two) = tokio::join!(
        shop.create(&admin, twice.clone()),
        shop.create(&admin, twice)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(
        shop.world.count("select count(*) from quick_reply").await,
        2
    );
}

#[tokio::test]
async fn f094_an_account_has_5000_and_an_agent_500() {
    let shop = Shop::new().await;
    let (ann, admin) = (shop.agent("ann"), shop.admin());
    let fill = |owner: &str, id: Uuid, count: i64| {
        format!(
            "insert into quick_reply select 'acme', gen_random_uuid(), '{owner}', '{id}', '', '', n::text, '', '{{}}', '', 1,
                 null, now(), now() from generate_series(1, {count}) n"
        )
    };
    let run = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&shop.world.db.pool)
            .await
            .unwrap();
    };
    run(fill("agent", agent("ann").uuid(), 499)).await;
    // Of two at once for the last place one is refused.
    let (one, two) = tokio::join!(
        shop.create(&ann, own("one", "x")),
        shop.create(&ann, own("two", "x"))
    );
    let refused = match (one, two) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("one of two is refused: {both:?}"),
    };
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "TOO_MANY_QUICK_REPLIES");
    let of_account = || new(OwnerKind::Account, "", "x", "x");
    shop.create(&admin, of_account()).await.unwrap();
    run(fill("account", Uuid::nil(), 4_499)).await;
    for (by, ask) in [(&admin, of_account()), (&shop.agent("bob"), own("x", "x"))] {
        let refused = shop.create(by, ask).await.unwrap_err();
        assert_eq!(reason(&refused), "TOO_MANY_QUICK_REPLIES");
        assert!(refused.message().contains("5000"), "{}", refused.message());
    }
}

fn bold(text: &str, offset: u32, length: u32) -> Text {
    Text {
        text: text.into(),
        entities: vec![TextEntity {
            kind: Kind::Bold.into(),
            offset,
            length,
            ..Default::default()
        }],
    }
}

#[tokio::test]
async fn f096_f097_b14_a_reply_is_put_into_the_input_field_and_nothing_is_sent() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    shop.others
        .names
        .lock()
        .unwrap()
        .insert(agent("ann"), "Ann Smith".into());
    shop.world
        .receive(&[shop.world.message("7", "1", at(0), "Hello")])
        .await;
    let words = "🙂 Hi {{client.first_name}}, {{client.phone}} it is {{agent.name}}, № {{conversation.number|–}}, \
                 {{client.email|friend}}";
    let made = shop
        .create(
            &ann,
            pb::CreateQuickReplyRequest {
                // Bold from the smile to the end of the first variable.
                text: Some(bold(words, 0, 27)),
                ..own("Hi", "")
            },
        )
        .await
        .unwrap();
    let everything = shop.world.everything().await;
    let rendered = shop.render(&ann, "7", &made.quick_reply_id).await.unwrap();
    let text = rendered.text.unwrap();
    assert_eq!(text.text, "🙂 Hi Ada, it is Ann Smith, № 1, friend");
    let range = &text.entities[0];
    assert_eq!(
        (range.kind(), range.offset, range.length),
        (Kind::Bold, 0, 9)
    );
    assert_eq!(rendered.missing_variables, ["client.phone", "client.email"]);
    assert_eq!(
        shop.world.everything().await,
        everything,
        "nothing is sent, stored or told"
    );

    // What is corrected in the input field is sent as it is, and the reply stays as it was (F097).
    let sent = shop
        .world
        .send(&shop.world.as_agent("ann"), "7", "s", "Hi Ada!")
        .await;
    assert_eq!(crate::world::text_of(&sent.unwrap()), "Hi Ada!");
    assert_eq!(shop.get(&ann, &made.quick_reply_id).await.unwrap(), made);

    // In a closed chat there is no number; a service has no name.
    shop.world
        .close(&shop.world.as_agent("ann"), "7")
        .await
        .unwrap();
    let rendered = shop
        .render(&shop.service(), "7", &made.quick_reply_id)
        .await;
    let text = rendered.unwrap().text.unwrap().text;
    assert_eq!(text, "🙂 Hi Ada, it is, № –, friend");
}

#[tokio::test]
async fn f096_what_gets_too_long_in_a_chat_is_refused() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let mut item = shop.world.message("7", "1", at(0), "Hello");
    item.client = Some(crate::world::client("7", &"Я".repeat(150)));
    shop.world.receive(&[item]).await;
    for (filler, fits) in [(19_850, true), (19_851, false)] {
        let words = format!("{}{{{{client.name}}}}", "x".repeat(filler));
        let made = shop.create(&ann, own("Long", &words)).await.unwrap();
        let rendered = shop.render(&ann, "7", &made.quick_reply_id).await;
        match rendered {
            Ok(rendered) => {
                assert!(fits);
                assert_eq!(rendered.text.unwrap().text.chars().count(), 20_000);
            }
            Err(status) => {
                assert!(!fits);
                assert_eq!(reason(&status), "RENDERED_TOO_LONG");
            }
        }
    }
}

#[tokio::test]
async fn b14_files_are_kept_as_long_as_a_reply_has_them() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let (first, second, foreign) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    shop.others.files.lock().unwrap().extend([first, second]);
    let with = |files: &[Uuid]| pb::CreateQuickReplyRequest {
        text: None,
        attachment_ids: files.iter().map(Uuid::to_string).collect(),
        ..own("Prices", "")
    };
    let refused = shop
        .create(&ann, with(&[first, foreign]))
        .await
        .unwrap_err();
    assert_eq!(named(&refused).0, "attachment_ids[1]");
    let made = shop.create(&ann, with(&[second, first])).await.unwrap();
    assert_eq!(made.attachment_ids, [second.to_string(), first.to_string()]);
    let last = shop.others.held.lock().unwrap().last().cloned();
    assert_eq!(last, Some((Some(agent("ann")), vec![second, first])));

    shop.world
        .receive(&[shop.world.message("7", "1", at(0), "Hello")])
        .await;
    let rendered = shop.render(&ann, "7", &made.quick_reply_id).await.unwrap();
    assert_eq!(rendered.attachment_ids, made.attachment_ids);
    assert_eq!(rendered.text, Some(Text::default()));

    // Neither text nor files is nothing.
    let change = |files: &[Uuid]| pb::UpdateQuickReplyRequest {
        quick_reply_id: made.quick_reply_id.clone(),
        attachments: Some(pb::QuickReplyAttachments {
            attachment_ids: files.iter().map(Uuid::to_string).collect(),
        }),
        ..Default::default()
    };
    let refused = shop.update(&ann, change(&[])).await.unwrap_err();
    assert_eq!(named(&refused).0, "text.text");
    let refused = shop.update(&ann, change(&[foreign])).await.unwrap_err();
    assert_eq!(named(&refused).0, "attachments.attachment_ids[0]");
    let changed = shop.update(&ann, change(&[first])).await.unwrap();
    assert_eq!(changed.attachment_ids, [first.to_string()]);

    // Every day the gateway is told again.
    let now = chassis::clock::now();
    assert_eq!(shop.replies.hold_on(now).await.unwrap(), 0);
    let tomorrow = now + time::Duration::hours(25);
    *shop.others.away.lock().unwrap() = true;
    assert!(shop.replies.hold_on(tomorrow).await.is_err());
    *shop.others.away.lock().unwrap() = false;
    assert_eq!(shop.replies.hold_on(tomorrow).await.unwrap(), 1);
    let last = shop.others.held.lock().unwrap().last().cloned();
    assert_eq!(last, Some((None, vec![first])));
    assert_eq!(shop.replies.hold_on(tomorrow).await.unwrap(), 0);
    shop.delete(&ann, &made.quick_reply_id).await.unwrap();
    let later = tomorrow + time::Duration::hours(25);
    assert_eq!(shop.replies.hold_on(later).await.unwrap(), 0);
}

#[tokio::test]
async fn b11_each_change_of_a_quick_reply_is_told() {
    let shop = Shop::new().await;
    let ann = shop.agent("ann");
    let made = shop.create(&ann, own("Hello", "Hello")).await.unwrap();
    let change = pb::UpdateQuickReplyRequest {
        quick_reply_id: made.quick_reply_id.clone(),
        text: Some(plain("Bye")),
        ..Default::default()
    };
    shop.update(&ann, change).await.unwrap();
    shop.delete(&ann, &made.quick_reply_id).await.unwrap();
    let api = chassis::audit::Api::new(
        "conversation",
        shop.world.db.pool.clone(),
        conversation::audit::SCOPES,
    );
    let entries = audited(&api, &shop.service(), ListAuditEntriesRequest::default())
        .await
        .unwrap();
    let mut actions: Vec<&str> = entries.iter().map(|entry| &*entry.action).collect();
    actions.sort_unstable();
    assert_eq!(
        actions,
        [
            "quick-reply.create",
            "quick-reply.delete",
            "quick-reply.update"
        ]
    );
    for entry in &entries {
        assert_eq!(entry.actor, format!("agent:{}", agent("ann")));
        assert_eq!(
            (
                &*entry.subject_kind,
                &entry.subject_id,
                &*entry.subject_name
            ),
            ("quick-reply", &made.quick_reply_id, "Hello")
        );
    }
    let update = entries
        .iter()
        .find(|entry| entry.action == "quick-reply.update")
        .unwrap();
    assert_eq!(told(update), ["text.text: Hello -> Bye"]);
    let published = shop.world.published().await;
    assert_eq!(published.get("setting.changed"), Some(&3));
}
