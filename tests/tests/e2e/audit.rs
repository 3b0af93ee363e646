//! Who changed which setting (B11): a walk over every method of the contracts, so that no change of a setting is
//! forgotten. A method that is in neither list fails the test: say which it is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use anyhow::Context as _;
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use switchboard_proto::operator::v1::audit_service_client::AuditServiceClient;
use switchboard_proto::operator::v1::{AuditEntry, ListAuditEntriesRequest, SettingChanged};
use switchboard_tests::command;
use switchboard_tests::events::{check_envelopes, read_all};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Authorised, Bearer, Plan, World, eventually};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

/// Methods that change no setting: they read, or work with customers.
const NO_SETTING: &[&str] = &[
    "assignment.v1.AssignmentService/AddParticipants",
    "assignment.v1.AssignmentService/AdmitReply",
    "assignment.v1.AssignmentService/AssignChat",
    "assignment.v1.AssignmentService/ClaimChat",
    "assignment.v1.AssignmentService/ExplainAssignment",
    "assignment.v1.AssignmentService/GetAgent",
    "assignment.v1.AssignmentService/GetAgentAccess",
    "assignment.v1.AssignmentService/GetChatAssignment",
    "assignment.v1.AssignmentService/GetDistributionPolicy",
    "assignment.v1.AssignmentService/JoinChat",
    "assignment.v1.AssignmentService/LeaveChat",
    "assignment.v1.AssignmentService/ListAccounts",
    "assignment.v1.AssignmentService/ListAgentAccess",
    "assignment.v1.AssignmentService/ListAgents",
    "assignment.v1.AssignmentService/ListChatAssignments",
    "assignment.v1.AssignmentService/RedirectChat",
    // Where somebody is now is no setting; what their presence follows is one.
    "assignment.v1.AssignmentService/SetPresence",
    "assignment.v1.AssignmentService/UnassignChat",
    "assignment.v1.CalendarService/GetCalendar",
    "assignment.v1.CalendarService/GetWorkingTime",
    "assignment.v1.CalendarService/ListCalendars",
    "assignment.v1.GroupService/GetGroup",
    "assignment.v1.GroupService/ListAgentGroups",
    "assignment.v1.GroupService/ListGroups",
    "assignment.v1.PresenceService/GetPresenceOptions",
    "assignment.v1.PresenceService/KeepPresence",
    "assignment.v1.ResponsibleSyncService/GetContactFields",
    "assignment.v1.ResponsibleSyncService/GetResponsibleSync",
    "assignment.v1.RoleService/GetRole",
    "assignment.v1.RoleService/ListRoles",
    "channel_gateway.v1.ChannelGatewayService/CreateAttachmentLink",
    "channel_gateway.v1.ChannelGatewayService/CreateUpload",
    "channel_gateway.v1.ChannelGatewayService/GetAttachment",
    "channel_gateway.v1.ChannelGatewayService/GetChannel",
    // What is kept for them is told with the quick replies.
    "channel_gateway.v1.ChannelGatewayService/HoldUploads",
    "channel_gateway.v1.ChannelGatewayService/ListChannels",
    "channel_gateway.v1.ChannelGatewayService/ListDeliveries",
    "channel_gateway.v1.ChannelGatewayService/RefetchAttachment",
    "channel_gateway.v1.ChannelGatewayService/VerifyChannel",
    "conversation.v1.ChatService/AddNote",
    "conversation.v1.ChatPresenceService/ReportChatPresence",
    "conversation.v1.ChatPresenceService/WatchChatPresence",
    "conversation.v1.ChatService/DeleteMessage",
    "conversation.v1.ChatService/EditMessage",
    "conversation.v1.ChatService/MarkRead",
    "conversation.v1.ChatService/ReactToMessage",
    "conversation.v1.ChatService/MarkSpam",
    "conversation.v1.ChatService/RestoreChat",
    "conversation.v1.BotService/GetBot",
    "conversation.v1.BotService/GetNpsTotals",
    "conversation.v1.BotService/ListBotRuns",
    "conversation.v1.BotService/ListBots",
    "conversation.v1.BotService/SendNps",
    "conversation.v1.BotService/StartBot",
    "conversation.v1.BotService/StopBot",
    "conversation.v1.ChatService/LabelChat",
    "conversation.v1.ChatService/ListChatFilters",
    "conversation.v1.ChatService/ListLabels",
    "conversation.v1.ChatService/SnoozeChat",
    "conversation.v1.ChatService/StartChat",
    "conversation.v1.ChatService/WakeChat",
    "conversation.v1.ChatService/StartConversation",
    "conversation.v1.ChatService/UpdateChat",
    "conversation.v1.ChatService/WaiveReply",
    "conversation.v1.ActivityService/ListActivity",
    "conversation.v1.ChannelRuleService/GetChannelRule",
    "conversation.v1.ChannelRuleService/ListChannelRules",
    "conversation.v1.ConversationService/CloseConversation",
    "conversation.v1.ConversationService/FindChats",
    "conversation.v1.ConversationService/GetChat",
    "conversation.v1.ConversationService/ListChats",
    "conversation.v1.ConversationService/ListConversations",
    "conversation.v1.ConversationService/ListMessages",
    "conversation.v1.ConversationService/ListOutboundCommands",
    "conversation.v1.ConversationService/RetryMessage",
    "conversation.v1.ConversationService/SendMessage",
    "conversation.v1.ConversationService/WatchChats",
    "conversation.v1.InternalChatService/ListInternalMessages",
    "conversation.v1.InternalChatService/ListInternalNotifications",
    "conversation.v1.InternalChatService/MarkInternalNotifications",
    "conversation.v1.InternalChatService/PostInternalMessage",
    "conversation.v1.InternalChatService/WatchInternalNotifications",
    "conversation.v1.NotificationService/ListNotifications",
    "conversation.v1.NotificationService/MarkNotifications",
    "conversation.v1.NotificationService/WatchNotifications",
    "conversation.v1.QuickReplyService/GetQuickReply",
    "conversation.v1.QuickReplyService/ListQuickReplies",
    "conversation.v1.QuickReplyService/ListQuickReplyFolders",
    "conversation.v1.QuickReplyService/RenderQuickReply",
    "conversation.v1.SearchService/SearchMessages",
    "crm_cards.v1.CardService/AddCardNote",
    "crm_cards.v1.CardService/AddCardParticipants",
    "crm_cards.v1.CardService/ConvertCard",
    "crm_cards.v1.CardService/DeleteCard",
    "crm_cards.v1.CardService/GetBoard",
    "crm_cards.v1.CardService/ListCardNotes",
    "crm_cards.v1.CardService/RemoveCardParticipants",
    "crm_cards.v1.CardService/UpdateCard",
    "crm_cards.v1.CompanyService/CreateCompany",
    "crm_cards.v1.CompanyService/DeleteCompany",
    "crm_cards.v1.CompanyService/GetCompany",
    "crm_cards.v1.CompanyService/ListCompanies",
    "crm_cards.v1.CompanyService/UpdateCompany",
    "crm_cards.v1.ContactService/BindBuyer",
    "crm_cards.v1.ContactService/CreateContact",
    "crm_cards.v1.ContactService/DeleteContact",
    "crm_cards.v1.ContactService/DismissDuplicate",
    "crm_cards.v1.ContactService/GetContactSettings",
    "crm_cards.v1.ContactService/ListSuspectedDuplicates",
    "crm_cards.v1.ContactService/MergeContacts",
    "crm_cards.v1.ContactService/UnmergeContact",
    "crm_cards.v1.ContactService/UpdateContact",
    "crm_cards.v1.CrmCardsService/CreateCard",
    "crm_cards.v1.CrmCardsService/CreateOrder",
    "crm_cards.v1.CrmCardsService/ExplainCard",
    "crm_cards.v1.CrmCardsService/GetCard",
    "crm_cards.v1.CrmCardsService/GetChatConnections",
    "crm_cards.v1.CrmCardsService/GetContact",
    "crm_cards.v1.CrmCardsService/GetPipelineConnection",
    "crm_cards.v1.CrmCardsService/ListCards",
    "crm_cards.v1.CrmCardsService/ListContacts",
    "crm_cards.v1.CrmCardsService/ListDecisions",
    "crm_cards.v1.CrmCardsService/ListPipelines",
    "crm_cards.v1.CrmCardsService/ListSources",
    "crm_cards.v1.CrmCardsService/MoveCard",
    "crm_cards.v1.CrmCardsService/MoveOrder",
    "crm_cards.v1.CrmCardsService/OpenChatConnections",
    "crm_cards.v1.CrmCardsService/SaveBuyer",
    "crm_cards.v1.EntityAccessService/CheckEntityAccess",
    "crm_cards.v1.EntityChatService/ListEntityChats",
    "crm_cards.v1.ExternalCrmService/SetEntityResponsibles",
    "crm_cards.v1.FieldService/ListFields",
    "crm_cards.v1.HistoryService/ListHistory",
    "crm_cards.v1.OrderService/GetBuyerTotals",
    "crm_cards.v1.OrderService/GetOrder",
    "crm_cards.v1.OrderService/ListOrders",
    "crm_cards.v1.OrderService/UpdateOrder",
    "crm_cards.v1.PipelineService/GetPipeline",
    // What cards there are is no setting.
    "crm_cards.v1.PipelineService/MoveCards",
    "crm_cards.v1.TransferService/ExportRecords",
    "crm_cards.v1.TransferService/ImportRecords",
    "operator.v1.AuditService/ListAuditEntries",
    "operator.v1.OperatorService/GetDeadLetter",
    "operator.v1.OperatorService/ListDeadLetters",
    "operator.v1.OperatorService/ReplayDeadLetters",
];

/// What an administrator of these stories may do.
const ADMIN: &str = "chats:* crm:* channels:* agents:*";

/// A change of a setting.
struct Change {
    /// The method, without the first word of its package.
    method: String,
    /// How its entry names it.
    action: &'static str,
    /// The request, in which `$kind` is the id of the subject of that kind that the service told of last.
    request: Value,
}

/// Every method that changes a setting, in an order in which each changes something.
fn changes(channel: &str, pipeline: &str) -> Vec<Change> {
    let mut all = of_assignment(channel);
    all.extend(of_crm_cards(channel, pipeline));
    all.extend(of_conversation(channel));
    all.extend(of_channel_gateway());
    all
}

fn of_conversation(channel: &str) -> Vec<Change> {
    let reply = json!({ "quickReplyId": "$quick-reply" });
    let renamed = json!({ "quickReplyId": "$quick-reply", "title": "Evening hours" });
    let hours = json!({
        "ownerKind": "OWNER_KIND_ACCOUNT", "title": "Hours", "text": { "text": "From 9 to 18" },
    });
    let changes = [
        ("CreateQuickReply", "quick-reply.create", hours),
        ("UpdateQuickReply", "quick-reply.update", renamed),
        ("DeleteQuickReply", "quick-reply.delete", reply),
    ];
    let mut all = listed("conversation.v1.QuickReplyService/", changes);
    let filter = json!({ "filter": { "name": "Open", "shared": true } });
    let changes = [
        ("SaveChatFilter", "chat-filter.create", filter),
        (
            "DeleteChatFilter",
            "chat-filter.delete",
            json!({ "filterId": "$chat-filter" }),
        ),
    ];
    all.extend(listed("conversation.v1.ChatService/", changes));
    let steps = json!([{ "key": "hello", "send": { "text": { "text": "Hello" } } }]);
    let bot = json!({ "bot": { "name": "Greeter", "steps": steps } });
    let renamed = json!({ "bot": { "botId": "$bot", "name": "Doorman", "steps": steps } });
    let changes = [
        ("CreateBot", "bot.create", bot),
        ("UpdateBot", "bot.update", renamed),
        ("DeleteBot", "bot.delete", json!({ "botId": "$bot" })),
    ];
    all.extend(listed("conversation.v1.BotService/", changes));
    let rule = json!({ "rule": { "channelId": channel, "continueMinutes": 60 } });
    let changes = [("SetChannelRule", "channel-rule.set", rule)];
    all.extend(listed("conversation.v1.ChannelRuleService/", changes));
    all
}

fn listed<const N: usize>(package: &str, changes: [(&str, &'static str, Value); N]) -> Vec<Change> {
    let change = |(method, action, request)| Change {
        method: format!("{package}{method}"),
        action,
        request,
    };
    changes.into_iter().map(change).collect()
}

fn of_assignment(channel: &str) -> Vec<Change> {
    let account = json!({ "account": true });
    let calendar = json!({ "owner": account, "timeZone": "Europe/Kyiv" });
    let follows = json!({ "agentId": "$agent", "followStreams": true });
    let policy = json!({ "channelId": channel, "distribution": "DISTRIBUTION_OFF" });
    let (role, group) = (json!({ "roleId": "$role" }), json!({ "groupId": "$group" }));
    let with_settings = json!({ "roleId": "$role", "settings": true });
    let renamed = json!({ "groupId": "$group", "name": "Lviv" });
    let capacity = json!({ "agentId": "$agent", "capacity": 3 });
    let named = |name: &str| json!({ "name": name });
    let changes = [
        ("Assignment", "CreateAgent", "agent.create", named("Olena")),
        ("Assignment", "UpdateAgent", "agent.update", capacity),
        ("Role", "CreateRole", "role.create", named("Sales")),
        ("Role", "UpdateRole", "role.update", with_settings),
        ("Role", "DeleteRole", "role.delete", role),
        ("Group", "CreateGroup", "group.create", named("Kyiv")),
        ("Group", "UpdateGroup", "group.update", renamed),
        ("Group", "DeleteGroup", "group.delete", group),
        (
            "Calendar",
            "SetCalendar",
            "calendar.set",
            json!({ "calendar": calendar }),
        ),
        (
            "Calendar",
            "DeleteCalendar",
            "calendar.delete",
            json!({ "owner": account }),
        ),
        (
            "Presence",
            "SetPresenceOptions",
            "presence-options.set",
            json!({ "options": follows }),
        ),
        (
            "ResponsibleSync",
            "SetResponsibleSync",
            "responsible-sync.set",
            json!({ "sync": { "channelId": channel, "fromCrm": ["ENTITY_KIND_CONTACT"] } }),
        ),
        (
            "ResponsibleSync",
            "SetResponsibleSync",
            "responsible-sync.set",
            json!({ "sync": { "channelId": channel } }),
        ),
        (
            "ResponsibleSync",
            "SetContactFields",
            "contact-fields.set",
            json!({ "contactFields": { "allowed": false } }),
        ),
        (
            "Assignment",
            "SetDistributionPolicy",
            "distribution-policy.set",
            json!({ "policy": policy }),
        ),
    ];
    let change = |(service, method, action, request)| Change {
        method: format!("assignment.v1.{service}Service/{method}"),
        action,
        request,
    };
    changes.into_iter().map(change).collect()
}

fn of_crm_cards(channel: &str, pipeline: &str) -> Vec<Change> {
    let rule = json!({ "channelId": channel, "mode": "MODE_ONE_TIME", "pipelineId": pipeline });
    let changes = [
        (
            "CreatePipeline",
            "pipeline.create",
            json!({ "name": "Repairs" }),
        ),
        ("CreateSource", "source.create", json!({ "name": "Fair" })),
        (
            "SetPipelineConnection",
            "pipeline-connection.set",
            json!({ "connection": rule }),
        ),
    ];
    let mut all = listed("crm_cards.v1.CrmCardsService/", changes);
    let pipeline = json!({ "pipelineId": "$pipeline" });
    let renamed = json!({ "pipelineId": "$pipeline", "name": "Mending" });
    let source = json!({ "sourceId": "$source" });
    let fair = json!({ "sourceId": "$source", "name": "Kyiv fair" });
    let changes = [
        ("UpdatePipeline", "pipeline.update", renamed),
        ("DeletePipeline", "pipeline.delete", pipeline),
        ("UpdateSource", "source.update", fair),
        ("DeleteSource", "source.delete", source),
    ];
    all.extend(listed("crm_cards.v1.PipelineService/", changes));
    let city =
        json!({ "entity": "ENTITY_CARD", "key": "city", "name": "City", "type": "TYPE_TEXT" });
    let required = json!({ "fieldId": "$field", "required": true });
    let changes = [
        ("CreateField", "field.create", city),
        ("UpdateField", "field.update", required),
        (
            "DeleteField",
            "field.delete",
            json!({ "fieldId": "$field" }),
        ),
    ];
    all.extend(listed("crm_cards.v1.FieldService/", changes));
    let region = json!({ "settings": { "phoneRegion": "UA" } });
    let changes = [("SetContactSettings", "contact-settings.set", region)];
    all.extend(listed("crm_cards.v1.ContactService/", changes));
    all
}

fn of_channel_gateway() -> Vec<Change> {
    let number = 6_000_000_000 + u64::from(rand::random::<u32>());
    let bot = json!({ "token": format!("{number}:{}", "B".repeat(35)) });
    let channel = json!({ "channelId": "$channel" });
    let renamed = json!({ "channelId": "$channel", "name": "Third" });
    let connected = json!({ "channelId": "$channel", "telegramBot": bot });
    let changes = [
        (
            "CreateChannel",
            "channel.create",
            json!({ "name": "Second", "telegramBot": bot }),
        ),
        ("UpdateChannel", "channel.update", renamed),
        ("EnableChannel", "channel.enable", channel.clone()),
        ("DisableChannel", "channel.disable", channel.clone()),
        ("DisconnectChannel", "channel.disconnect", channel),
        ("ConnectChannel", "channel.connect", connected),
    ];
    listed("channel_gateway.v1.ChannelGatewayService/", changes)
}

fn owner(method: &str) -> Kind {
    match method.split('.').next() {
        Some("assignment") => Kind::Assignment,
        Some("crm_cards") => Kind::CrmCards,
        Some("conversation") => Kind::Conversation,
        _ => Kind::ChannelGateway,
    }
}

async fn channel(world: &World, kind: Kind, token: &str) -> anyhow::Result<Authorised> {
    let endpoint = Endpoint::from_shared(world.system.grpc_url(kind)?)?;
    Ok(InterceptedService::new(
        endpoint.connect().await?,
        Bearer::new(token)?,
    ))
}

/// What a service tells of its own settings, the newest first.
async fn entries(world: &World, kind: Kind, token: &str) -> anyhow::Result<Vec<AuditEntry>> {
    let mut client = AuditServiceClient::new(channel(world, kind, token).await?);
    let request = ListAuditEntriesRequest {
        page_size: 200,
        service: kind.name().into(),
        ..Default::default()
    };
    Ok(client
        .list_audit_entries(request)
        .await?
        .into_inner()
        .entries)
}

/// What assignment tells of the settings of all services, read page by page.
async fn collected(world: &World, token: &str) -> anyhow::Result<Vec<AuditEntry>> {
    let mut client = AuditServiceClient::new(channel(world, Kind::Assignment, token).await?);
    let (mut entries, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListAuditEntriesRequest {
            page_size: 7,
            page_token,
            ..Default::default()
        };
        let page = client.list_audit_entries(request).await?.into_inner();
        entries.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(entries);
        }
    }
}

/// Every entry of the services is heard as an event on its own service's subject, and is in assignment's list, once.
async fn announced(world: &World, slug: &str, token: &str) -> anyhow::Result<()> {
    let mut own = Vec::new();
    for kind in Kind::ALL {
        own.extend(entries(world, kind, token).await?);
    }
    let by_id = |mut entries: Vec<AuditEntry>| {
        entries.sort_by(|one, two| one.entry_id.cmp(&two.entry_id));
        entries
    };
    let own = by_id(own);
    let listed = eventually("the settings of all services in one list", async || {
        let listed = collected(world, token).await?;
        Ok((listed.len() >= own.len()).then_some(listed))
    })
    .await?;
    let place = |entry: &AuditEntry| {
        let time = entry.time.as_ref().map(|time| (time.seconds, time.nanos));
        (time, entry.entry_id.clone())
    };
    assert!(listed.is_sorted_by(|one, next| place(one) > place(next)));
    assert_eq!(by_id(listed), own);

    let heard = eventually("an event of each entry", async || {
        let events = read_all(&world.nats.url(), Some(slug)).await?;
        let mut heard = Vec::new();
        for event in &events {
            if let Some(entry) = event.decode::<SettingChanged>().and_then(|told| told.entry) {
                let subject = format!("{}.setting.changed", entry.service);
                anyhow::ensure!(event.name() == subject, "{} on {}", subject, event.subject);
                heard.push(entry);
            }
        }
        if heard.len() < own.len() {
            return Ok(None);
        }
        check_envelopes(&events)?;
        Ok(Some(heard))
    })
    .await?;
    assert_eq!(by_id(heard), own);
    Ok(())
}

/// Calls a method with a request in protobuf JSON.
async fn call(world: &World, method: &str, request: Value, token: &str) -> anyhow::Result<()> {
    let contracts = DescriptorPool::decode(switchboard_proto::DESCRIPTOR_SET)?;
    let (service, name) = method.split_once('/').context("a method")?;
    let described = contracts
        .get_service_by_name(&format!("switchboard.{service}"))
        .and_then(|service| service.methods().find(|method| method.name() == name))
        .with_context(|| format!("{method} is none of the contracts"))?;
    let request = DynamicMessage::deserialize(described.input(), request)?;
    let mut grpc = tonic::client::Grpc::new(channel(world, owner(method), token).await?);
    grpc.ready().await?;
    let path = PathAndQuery::try_from(format!("/switchboard.{method}"))?;
    let codec = tonic_prost::ProstCodec::<DynamicMessage, ()>::default();
    grpc.unary(Request::new(request), path, codec)
        .await
        .with_context(|| format!("{method} is refused"))?;
    Ok(())
}

/// Puts the ids of the subjects that were told of last in the place of `$kind`.
fn filled(request: &Value, told: &[AuditEntry]) -> anyhow::Result<Value> {
    let mut text = request.to_string();
    for kind in [
        "agent",
        "role",
        "group",
        "channel",
        "pipeline",
        "source",
        "field",
        "quick-reply",
        "bot",
        "chat-filter",
    ] {
        if let Some(entry) = told.iter().find(|entry| entry.subject_kind == kind) {
            text = text.replace(&format!("\"${kind}\""), &format!("{:?}", entry.subject_id));
        }
    }
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn b11_every_method_is_known_to_change_a_setting_or_not_to() {
    let mut listed: Vec<String> = NO_SETTING.iter().map(|&method| method.to_owned()).collect();
    // What has to be undone before something else may be changed is called twice.
    let changing: BTreeSet<String> = changes("", "")
        .into_iter()
        .map(|change| change.method)
        .collect();
    listed.extend(changing);
    listed.push("assignment.v1.AssignmentService/CreateAccount".to_owned());
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "each is in one list, once");
    let methods = switchboard_proto::METHODS.iter();
    let known: BTreeSet<String> = methods
        .filter_map(|method| method.path.strip_prefix("/switchboard."))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        once, known,
        "say of each method whether it changes a setting"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_every_change_of_a_setting_is_told_by_its_service() -> anyhow::Result<()> {
    let world = World::start().await?;
    let plan = Plan {
        agents: 1,
        ..Plan::default()
    };
    let account = world.account(plan).await?;
    let tokens = world.system.tokens();
    let admin = tokens.service(&account.slug, "admin", ADMIN);
    let mut expected: BTreeMap<Kind, usize> = BTreeMap::new();
    for kind in Kind::ALL {
        expected.insert(kind, entries(&world, kind, &admin).await?.len());
    }
    let opened = entries(&world, Kind::Assignment, &admin).await?;
    let opened = opened.last().context("an entry of the account")?;
    assert_eq!(
        (&*opened.action, &*opened.actor, &opened.subject_id),
        ("account.create", "service:operator", &account.slug)
    );

    for change in changes(&account.channel_id, &account.pipeline.pipeline_id) {
        let kind = owner(&change.method);
        let before = entries(&world, kind, &admin).await?;
        let request = filled(&change.request, &before)?;
        call(&world, &change.method, request, &admin).await?;
        let after = entries(&world, kind, &admin).await?;
        let newest = after.first().context("an entry")?;
        assert!(after.len() > before.len(), "{} is not told", change.method);
        assert_eq!(newest.action, change.action, "{}", change.method);
        assert_eq!(
            (&*newest.actor, &*newest.service),
            ("service:admin", kind.name())
        );
        assert!(!newest.changes.is_empty() && newest.time.is_some());
        expected.insert(kind, after.len());
    }

    // Nobody else sees them: not another account, not an agent without settings, not who only reads.
    let other = tokens.service("other", "admin", ADMIN);
    let reader = tokens.service(
        &account.slug,
        "reader",
        "chats:* crm:read channels:read agents:read",
    );
    for kind in Kind::ALL {
        assert_eq!(entries(&world, kind, &other).await?, []);
        let refused = entries(&world, kind, &reader).await.unwrap_err();
        let code = refused
            .downcast_ref::<tonic::Status>()
            .map(tonic::Status::code);
        assert_eq!(code, Some(Code::PermissionDenied), "{}", kind.name());
    }
    announced(&world, &account.slug, &admin).await?;
    by_command(&world, &admin, &expected, &account.channel_id).await?;
    groups_by_name(&world, &admin, &account.channel_id).await
}

/// The command line tells the same.
async fn by_command(
    world: &World,
    token: &str,
    expected: &BTreeMap<Kind, usize>,
    channel: &str,
) -> anyhow::Result<()> {
    let list = async |arguments: &[&str]| -> anyhow::Result<Vec<Value>> {
        let output = audit_list(world, token, arguments).await?;
        anyhow::ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let all = list(&["--all", "-o", "json"]).await?;
    assert_eq!(all.len(), expected.values().sum::<usize>());
    let times: Vec<&str> = all
        .iter()
        .filter_map(|entry| entry["time"].as_str())
        .collect();
    assert!(
        times.len() == all.len() && times.is_sorted_by(|one, next| one >= next),
        "{times:?}"
    );
    let services: BTreeSet<&str> = all
        .iter()
        .filter_map(|entry| entry["service"].as_str())
        .collect();
    assert_eq!(
        services,
        ["assignment", "channel-gateway", "conversation", "crm-cards"].into()
    );
    for kind in Kind::ALL {
        let of_one = list(&["--all", "-o", "json", "--service", kind.name()]).await?;
        assert_eq!(Some(&of_one.len()), expected.get(&kind));
    }
    let of_channel = list(&["-o", "json", "--subject", &format!("channel:{channel}")]).await?;
    let actions: BTreeSet<&str> = of_channel
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    let everywhere = [
        "channel-rule.set",
        "channel.create",
        "channel.enable",
        "distribution-policy.set",
        "pipeline-connection.set",
        "responsible-sync.set",
    ];
    assert_eq!(actions, everywhere.into());
    let by_operator = list(&["-o", "json", "--actor", "service:operator", "--since", "1h"]).await?;
    assert_eq!(by_operator.len(), 1);

    let table = audit_list(world, token, &["--limit", "3"]).await?;
    let (shown, said) = (
        String::from_utf8(table.stdout)?,
        String::from_utf8(table.stderr)?,
    );
    assert!(
        shown.contains("channel.connect") && shown.contains("(hidden)"),
        "{shown}"
    );
    assert!(
        shown.lines().count() == 4 && said.contains("--page-token"),
        "{shown}{said}"
    );
    Ok(())
}

async fn audit_list(world: &World, token: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    command::run(world, token, &[&["audit", "list"], arguments].concat()).await
}

/// A policy is shown with the names of its groups.
async fn groups_by_name(world: &World, token: &str, channel: &str) -> anyhow::Result<()> {
    let group = "assignment.v1.GroupService/CreateGroup";
    call(world, group, json!({ "name": "Sales" }), token).await?;
    let set = [
        "distribution",
        "set",
        channel,
        "least-loaded",
        "--group",
        "Sales=2",
    ];
    for arguments in [set.as_slice(), &["distribution", "show", channel]] {
        let output = command::run(world, token, arguments).await?;
        let shown = String::from_utf8(output.stdout)?;
        assert!(shown.contains("group Sales=2"), "{arguments:?}: {shown}");
    }
    Ok(())
}
