//! The walk over the table (X11), and over scopes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use switchboard_tests::rpc::Rpc;
use switchboard_tests::world::{Bearer, World, eventually};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::people::{self, ALL_SCOPES, Kind};
use super::rows::{ROWS, Row, Told};
use super::things::{self, Things};

/// Somebody who asks for the things of the shop.
struct Asker {
    name: String,
    bearer: Bearer,
    /// Their place in the profiles.
    column: usize,
    /// What must not stand in any answer to them.
    hidden: Vec<String>,
}

/// What hangs on a chat; whoever may not see it still meets its id at cards, as a link that opens nothing (D26).
const OF_CHAT: &[&str] = &[
    "client",
    "conversation",
    "message",
    "answer",
    "words",
    "attachment",
    "line",
    "channel",
];
/// What is CRM's.
const OF_CRM: &[&str] = &["card", "contact", "order"];

fn hidden_from(kind: Kind, shop: &Things) -> Vec<String> {
    match kind {
        Kind::Owner | Kind::Full => Vec::new(),
        // That there is a card the chat's messages tell, also of a colleague's (D12); what it holds they do not. The id of
        // the contact stands at the lead that they get by opening the connections (F178), as a link that opens nothing.
        Kind::Own => shop.some(&["order"]),
        Kind::Limited => shop.some(OF_CRM),
        Kind::None => {
            let chat = OF_CHAT
                .iter()
                .filter(|name| !["line", "channel"].contains(name));
            let names: Vec<&str> = chat
                .chain(OF_CRM)
                .copied()
                .chain(["chat", "customer"])
                .collect();
            shop.some(&names)
        }
        Kind::Admin | Kind::Elsewhere => shop.some(OF_CHAT),
    }
}

/// Everybody who asks for what is in the shop. `mall` is another account.
async fn askers(
    world: &World,
    rpc: &Rpc,
    shop: &Things,
    mall: &Things,
) -> anyhow::Result<Vec<Asker>> {
    let mut askers = Vec::new();
    for (column, kind) in Kind::ALL.into_iter().enumerate() {
        let other = shop.get("other channel");
        let person = people::of_kind(world, rpc, &shop.account, kind, &other).await?;
        let mut hidden = hidden_from(kind, shop);
        hidden.extend(mall.all());
        askers.push(Asker {
            name: format!("{kind:?}"),
            bearer: person.bearer,
            column,
            hidden,
        });
    }
    for (name, bearer) in [
        ("another account's agent", mall.keeper.bearer.clone()),
        ("another account's service", mall.service.clone()),
    ] {
        askers.push(Asker {
            name: name.to_owned(),
            bearer,
            column: Kind::ALL.len(),
            hidden: shop.all(),
        });
    }
    Ok(askers)
}

/// What is said of a refusal, its details too.
fn said(status: &Status) -> String {
    let mut said = status.message().to_owned();
    if let Some(info) = status.get_details_error_info() {
        let _ = write!(said, " {} {:?}", info.reason, info.metadata);
    }
    if let Some(bad) = status.get_details_bad_request() {
        let _ = write!(said, " {bad:?}");
    }
    said
}

/// What stands in a part of a file, which JSON writes in another alphabet.
fn within(answer: &Value) -> String {
    let chunk = answer.get("chunk").and_then(Value::as_str);
    let bytes = chunk.and_then(|chunk| STANDARD.decode(chunk).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// Says what is wrong with an answer, if something is.
fn wrong(
    row: &Row,
    asker: &Asker,
    shop: &Things,
    answer: &Result<Value, Status>,
) -> Option<String> {
    let told = row.told[asker.column];
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    let text = match answer {
        Ok(value) => format!("{value} {}", within(value)),
        Err(status) => said(status),
    };
    // Only agents write, claim and join: a service is told so before anything is looked for.
    let by_service = code == Code::PermissionDenied && text.contains("AGENT_REQUIRED");
    // And what only services do no agent does, of whatever account.
    let by_agent = code == Code::PermissionDenied && text.contains("SERVICE_TOKEN_REQUIRED");
    let as_told = match told {
        Told::Seen => {
            code == Code::Ok && (row.shows.is_empty() || text.contains(&shop.get(row.shows)))
        }
        Told::Without => by_agent || by_service || code == Code::Ok,
        // Of two who may delete it the second finds it gone.
        Told::May if row.method.contains("/Delete") && code == Code::NotFound => asker.column > 0,
        Told::May => {
            by_service
                || !matches!(
                    code,
                    Code::PermissionDenied
                        | Code::NotFound
                        | Code::Unauthenticated
                        | Code::Unknown
                        | Code::Internal
                )
        }
        Told::Refused => code == Code::PermissionDenied,
        Told::Hidden => by_service || code == Code::NotFound,
        Told::Wrong => code == Code::InvalidArgument,
    };
    if !as_told {
        return Some(format!(
            "{} asked by {}: {told:?} expected, {code:?}: {text}",
            row.method, asker.name
        ));
    }
    // What was asked with tells the asker nothing new; nor does the contact's id on the own card, which opens nothing.
    let mut known = (row.ask)(shop).to_string();
    if row.method.ends_with("/CreateCard") && asker.column == 2 {
        known += &shop.get("contact");
    }
    if row.method.ends_with("/ListAuditEntries") && asker.column == Kind::ALL.len() {
        // What they set in their own account, naming things of the shop, stands in their own audit.
        known.extend(ROWS.iter().map(|row| (row.ask)(shop).to_string()));
    }
    let leak = asker
        .hidden
        .iter()
        .find(|hidden| text.contains(*hidden) && !known.contains(*hidden));
    leak.map(|leak| format!("{} tells {} of {leak}: {text}", row.method, asker.name))
}

/// All that the account's service reads, but for what time alone changes.
async fn snapshot(rpc: &Rpc, shop: &Things) -> anyhow::Result<Vec<(usize, Value)>> {
    let mut read = Vec::new();
    for (number, row) in ROWS.iter().enumerate() {
        let name = row.method.rsplit('/').next().unwrap_or_default();
        let reads = ["Get", "List", "Explain"]
            .iter()
            .any(|verb| name.starts_with(verb));
        if reads && row.told[0] == Told::Seen {
            let mut answer = rpc
                .call(&row.method, &shop.service, &(row.ask)(shop))
                .await?;
            still(&mut answer);
            read.push((number, answer));
        }
    }
    Ok(read)
}

/// Takes out what moves by itself.
fn still(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for moves in [
                "health",
                "last_inbound_time",
                "last_outbound_time",
                "expire_time",
            ] {
                fields.remove(moves);
            }
            fields.values_mut().for_each(still);
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        _ => {}
    }
}

#[test]
fn x11_each_method_has_a_row_and_one_added_later_is_missed() {
    let rows: BTreeSet<String> = ROWS
        .iter()
        .map(|row| format!("/switchboard.{}", row.method))
        .collect();
    let methods: BTreeSet<String> = switchboard_proto::METHODS
        .iter()
        .map(|method| method.path.to_owned())
        .collect();
    let missing: Vec<_> = methods.difference(&rows).collect();
    assert!(
        missing.is_empty(),
        "whom {missing:?} refuses is not proven: add a row for each to tests/tests/e2e/rights/rows.rs, which says \
         how it is asked for a thing of the account and what every kind of agent is told"
    );
    let gone: Vec<_> = rows.difference(&methods).collect();
    assert!(
        gone.is_empty(),
        "rows of methods that no contract has: {gone:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_every_rpc_shows_and_does_what_rights_open_and_nothing_else() -> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let shop = things::build(&world, &rpc, "Shopmark", 5_500_000_001).await?;
    let mall = things::build(&world, &rpc, "Mallmark", 5_500_000_002).await?;
    let askers = askers(&world, &rpc, &shop, &mall).await?;
    let outsiders = outsiders(&world, &rpc, &shop).await?;
    let before = snapshot(&rpc, &shop).await?;
    let mut faults = Vec::new();
    let mut asked = 0;
    // What is refused comes first, and changes nothing. What people may do is done after that.
    for doing in [false, true] {
        for row in ROWS.iter() {
            for asker in askers.iter().filter(|asker| {
                let foreign = asker.column == Kind::ALL.len();
                (row.told[asker.column] == Told::May && !foreign) == doing
            }) {
                let answer = rpc
                    .call(&row.method, &asker.bearer, &(row.ask)(&shop))
                    .await;
                faults.extend(wrong(row, asker, &shop, &answer));
                asked += 1;
            }
        }
        if !doing {
            faults.extend(refused_at_the_gate(&rpc, &shop, &outsiders).await);
            let after = snapshot(&rpc, &shop).await?;
            for ((number, before), (_, after)) in before.iter().zip(&after) {
                if before != after {
                    faults.push(format!(
                        "{} reads otherwise after refused calls: {before} is {after}",
                        ROWS[*number].method
                    ));
                }
            }
        }
    }
    println!("{asked} questions over {} rows", ROWS.len());
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    Ok(())
}

/// Whom the gate refuses, with the code.
type Outsider = (&'static str, Bearer, Code);

/// Tokens that open nothing, whatever is asked.
async fn outsiders(world: &World, rpc: &Rpc, shop: &Things) -> anyhow::Result<Vec<Outsider>> {
    let tokens = world.system.tokens();
    let slug = &shop.account.slug;
    let agent = people::of_kind(world, rpc, &shop.account, Kind::Owner, "").await?;
    let off = json!({ "agent_id": agent.id.to_string(), "active": false });
    let update = "assignment.v1.AssignmentService/UpdateAgent";
    rpc.call(update, &shop.service, &off).await?;
    // Assignment remembers rights for a moment, the other services hear of them by an event.
    for method in [
        "assignment.v1.AssignmentService/ListAgents",
        "conversation.v1.ConversationService/ListChats",
        "crm_cards.v1.CrmCardsService/ListCards",
        "channel_gateway.v1.ChannelGatewayService/ListChannels",
    ] {
        eventually("the end of the inactive agent's rights", async || {
            let answer = rpc.call(method, &agent.bearer, &json!({})).await;
            Ok(answer.is_err().then_some(()))
        })
        .await?;
    }
    let claims = json!({ "sub": "x", "account": slug, "kind": "service", "scope": ALL_SCOPES });
    let unknown = tokens.agent(slug, uuid::Uuid::new_v4(), ALL_SCOPES);
    let expired = tokens.sign(&claims, -time::Duration::HOUR);
    Ok(vec![
        ("an inactive agent", agent.bearer, Code::PermissionDenied),
        (
            "an agent whom the account has not",
            Bearer::new(&unknown)?,
            Code::PermissionDenied,
        ),
        ("nobody", Bearer::none(), Code::Unauthenticated),
        (
            "an expired token",
            Bearer::new(&expired)?,
            Code::Unauthenticated,
        ),
    ])
}

async fn refused_at_the_gate(rpc: &Rpc, shop: &Things, outsiders: &[Outsider]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in ROWS.iter() {
        for (who, bearer, code) in outsiders {
            let answer = rpc.call(&row.method, bearer, &(row.ask)(shop)).await;
            let told = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
            if told != *code {
                faults.push(format!(
                    "{} asked by {who}: {told:?} and not {code:?}",
                    row.method
                ));
            }
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn x11_a_token_of_one_scope_opens_the_methods_of_that_scope_alone() -> anyhow::Result<()> {
    let world = super::world().await?;
    let rpc = Rpc::of(&world)?;
    let account = world
        .account(switchboard_tests::world::Plan {
            agents: 0,
            ..Default::default()
        })
        .await?;
    let scopes: BTreeSet<&str> = switchboard_proto::METHODS
        .iter()
        .flat_map(|method| method.scope.split('|'))
        .collect();
    let mut asked = 0;
    for scope in &scopes {
        let token = match *scope {
            "internal" => world.system.tokens().internal("x"),
            "ops" => world.system.tokens().operator(),
            scope => world.system.tokens().service(&account.slug, "x", scope),
        };
        let bearer = Bearer::new(&token)?;
        for method in switchboard_proto::METHODS {
            let name = method.path.trim_start_matches("/switchboard.");
            let answer = rpc.call(name, &bearer, &json!({})).await;
            let missing = answer.is_err_and(|status| {
                status
                    .get_details_error_info()
                    .is_some_and(|info| info.reason == "SCOPE_MISSING")
            });
            let mut opens = method.scope.split('|').any(|one| one == *scope);
            // Every service has an audit; the one that is asked here is of the service without settings of CRM.
            opens &= !(name.ends_with("/ListAuditEntries") && *scope == "crm:admin");
            assert_eq!(missing, !opens, "{name} with {scope} alone");
            asked += 1;
        }
    }
    assert!(scopes.len() > 8, "{scopes:?}");
    println!("{asked} questions with {} scopes", scopes.len());
    Ok(())
}
