//! Protobuf JSON by reflection: the field names of the contracts.

use std::sync::OnceLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::Value;

use super::Show;
use crate::error::CliError;

/// The contracts, read once.
fn pool() -> Option<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(switchboard_proto::DESCRIPTOR_SET).ok())
        .as_ref()
}

/// A message as protobuf JSON.
pub(crate) fn value<T: Show>(message: &T) -> Result<Value, CliError> {
    // With fields that have their default: a script finds every name in every row.
    serialise(T::NAME, &message.encode_to_vec(), false)
        .ok_or_else(|| CliError::failed(format!("{} cannot be written as JSON", T::NAME), ""))
}

/// An answer that is no row of a list as protobuf JSON, with fields that have their default.
pub(crate) fn answer<T: Name>(message: &T) -> Result<Value, CliError> {
    let name = T::full_name();
    serialise(&name, &message.encode_to_vec(), false)
        .ok_or_else(|| CliError::failed(format!("{name} cannot be written as JSON"), ""))
}

/// A value as YAML.
pub(crate) fn yaml(value: &Value) -> String {
    // What was JSON is always YAML as well.
    yaml_serde::to_string(value).unwrap_or_else(|_| value.to_string())
}

/// Bytes of a message, known by its full name, as protobuf JSON without defaults; none where the name
/// or the bytes are foreign.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Option<Value> {
    serialise(name, bytes, true)
}

/// A message, known by its full name, from protobuf JSON; none where the text is none of it.
pub(crate) fn message<T: Message + Default>(name: &str, text: &str) -> Option<T> {
    let descriptor = pool()?.get_message_by_name(name)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor, &mut reader).ok()?;
    reader.end().ok()?;
    T::decode(message.encode_to_vec().as_slice()).ok()
}

/// A method by its path, `/package.Service/Method`.
pub(crate) fn method(path: &str) -> Option<MethodDescriptor> {
    let (service, method) = path.trim_start_matches('/').split_once('/')?;
    let service = pool()?.get_service_by_name(service)?;
    service.methods().find(|known| known.name() == method)
}

/// A message that is known by reflection as protobuf JSON, without defaults.
pub(crate) fn of_dynamic(message: &DynamicMessage) -> Option<Value> {
    let options = SerializeOptions::new().skip_default_fields(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .ok()
}

fn serialise(name: &str, bytes: &[u8], skip_default_fields: bool) -> Option<Value> {
    let descriptor = pool()?.get_message_by_name(name)?;
    let message = DynamicMessage::decode(descriptor, bytes).ok()?;
    let options = SerializeOptions::new().skip_default_fields(skip_default_fields);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .ok()
}

#[cfg(test)]
mod tests {
    use switchboard_proto::conversation::v1::{Chat, chat};

    use super::*;

    #[test]
    fn json_has_the_field_names_of_the_contracts() {
        let chat = Chat {
            chat_id: "c".into(),
            state: chat::State::Active.into(),
            unanswered: 2,
            create_time: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: 0,
            }),
            ..Chat::default()
        };
        let value = value(&chat).unwrap();
        assert_eq!(value["chatId"], "c");
        assert_eq!(value["state"], "STATE_ACTIVE");
        assert_eq!(value["responsibleAgentId"], "", "every name is there");
        assert_eq!(value["createTime"], "1970-01-01T00:00:00Z");
        assert!(decode("switchboard.conversation.v1.Nothing", &[]).is_none());
        assert!(decode("switchboard.conversation.v1.Chat", &[0xff]).is_none());
        assert!(decode("switchboard.conversation.v1.Chat", &chat.encode_to_vec()).is_some());
    }

    #[test]
    fn a_request_is_read_from_json_whole_or_not_at_all() {
        let name = "switchboard.conversation.v1.Chat";
        for (text, read) in [
            (r#"{"chatId": "c", "unanswered": 2}"#, true),
            (r#"{"chat_id": "c", "unanswered": 2}"#, true),
            (r#"{"chat_id": "c", "unanswered": 2} more"#, false),
            (r#"{"chat_id": "c", "odd": 2}"#, false),
            ("chat", false),
        ] {
            let chat = message::<Chat>(name, text);
            let held =
                chat.is_some_and(|chat| (chat.chat_id.as_str(), chat.unanswered) == ("c", 2));
            assert_eq!(held, read, "{text}");
        }
    }

    #[test]
    fn every_event_can_be_decoded_by_its_type() {
        for event in switchboard_proto::EVENTS {
            assert!(decode(event.kind, &[]).is_some(), "{}", event.kind);
        }
    }
}
