//! Who changed which setting (B11): a walk over every method of the contracts, so that no change of a setting is
//! forgotten. A method that is in neither list fails the test: say which it is.

mod changes;
mod methods;

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

use changes::changes;
use methods::NO_SETTING;

/// What an administrator of these stories may do.
const ADMIN: &str = "chats:* crm:* channels:* agents:*";

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
