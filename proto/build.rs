//! Compiles the contracts without an installed protoc, and reads from their options which scope opens each
//! method and which message is which event.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, Value};

const FILES: [&str; 35] = [
    "switchboard/common/v1/options.proto",
    "switchboard/common/v1/content.proto",
    "switchboard/common/v1/stamp.proto",
    "switchboard/common/v1/pack.proto",
    "switchboard/operator/v1/operator_service.proto",
    "switchboard/operator/v1/audit_service.proto",
    "switchboard/operator/v1/events.proto",
    "switchboard/channel_gateway/v1/inbound.proto",
    "switchboard/channel_gateway/v1/channel_gateway_service.proto",
    "switchboard/channel_gateway/v1/events.proto",
    "switchboard/conversation/v1/activity_service.proto",
    "switchboard/conversation/v1/conversation_service.proto",
    "switchboard/conversation/v1/chat_service.proto",
    "switchboard/conversation/v1/quick_reply_service.proto",
    "switchboard/conversation/v1/channel_rule_service.proto",
    "switchboard/conversation/v1/notification_service.proto",
    "switchboard/conversation/v1/bot_service.proto",
    "switchboard/conversation/v1/chat_presence_service.proto",
    "switchboard/conversation/v1/internal_chat_service.proto",
    "switchboard/conversation/v1/search_service.proto",
    "switchboard/conversation/v1/events.proto",
    "switchboard/crm_cards/v1/pipeline_service.proto",
    "switchboard/crm_cards/v1/field_service.proto",
    "switchboard/crm_cards/v1/history_service.proto",
    "switchboard/crm_cards/v1/contact_service.proto",
    "switchboard/crm_cards/v1/company_service.proto",
    "switchboard/crm_cards/v1/order_service.proto",
    "switchboard/crm_cards/v1/entity_chat_service.proto",
    "switchboard/crm_cards/v1/entity_access_service.proto",
    "switchboard/crm_cards/v1/transfer_service.proto",
    "switchboard/crm_cards/v1/external_crm_service.proto",
    "switchboard/crm_cards/v1/events.proto",
    "switchboard/assignment/v1/presence_service.proto",
    "switchboard/assignment/v1/responsible_sync_service.proto",
    "switchboard/assignment/v1/events.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=switchboard");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?;
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    // By its name a message's description is found.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    // `bytes` fields become `Bytes`: a raw item is passed on without a copy.
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    fs::write(
        out.join("tables.rs"),
        tables(&DescriptorPool::decode(descriptors.as_slice())?)?,
    )?;
    Ok(())
}

/// Writes `METHODS`, `EVENTS` and the implementations of `DomainEvent`.
fn tables(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let scope = extension(pool, "switchboard.common.v1.scope")?;
    let event = extension(pool, "switchboard.common.v1.event")?;
    let mut out = String::from(
        "/// Every method of every service, with the scopes that open it.\npub const METHODS: &[Method] = &[\n",
    );
    for service in pool.services() {
        for method in service.methods() {
            let Some(scope) = text(method.options().get_extension(&scope).as_ref()) else {
                return Err(
                    format!("{}: no (switchboard.common.v1.scope)", method.full_name()).into(),
                );
            };
            writeln!(
                out,
                "    Method {{ path: \"/{}/{}\", scope: \"{scope}\" }},",
                service.full_name(),
                method.name()
            )?;
        }
    }
    out.push_str("];\n\n/// Every event.\npub const EVENTS: &[EventType] = &[\n");
    let mut implementations = String::new();
    for message in pool.all_messages() {
        let Some(name) = text(message.options().get_extension(&event).as_ref()) else {
            continue;
        };
        let (entity, event) = name
            .split_once('.')
            .ok_or("an event is named entity.event")?;
        let package = message
            .package_name()
            .split('.')
            .nth(1)
            .ok_or("a package is switchboard.<service>.v1")?;
        // What every service serves has no service of its own: any of them publishes it.
        let service = match package {
            "operator" => "*".to_owned(),
            package => package.replace('_', "-"),
        };
        let kind = message.full_name();
        writeln!(
            out,
            "    EventType {{ service: \"{service}\", entity: \"{entity}\", event: \"{event}\", kind: \"{kind}\" }},"
        )?;
        writeln!(
            implementations,
            "impl DomainEvent for {package}::v1::{} {{\n    const SERVICE: &'static str = \"{service}\";\n    const ENTITY: &'static str = \"{entity}\";\n    const EVENT: &'static str = \"{event}\";\n    const TYPE: &'static str = \"{kind}\";\n}}",
            message.name(),
        )?;
    }
    out.push_str("];\n\n");
    out.push_str(&implementations);
    Ok(out)
}

fn extension(pool: &DescriptorPool, name: &str) -> Result<ExtensionDescriptor, Box<dyn Error>> {
    pool.all_extensions()
        .find(|e| e.full_name() == name)
        .ok_or_else(|| format!("no extension {name}").into())
}

/// The text of an option, where it was set.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|s| !s.is_empty()).map(str::to_owned)
}
