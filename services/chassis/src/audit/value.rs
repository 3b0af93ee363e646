//! Values of settings, as JSON here and as the contract has them there: pure.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Number, Value};

/// Writes a value for the wire.
pub fn told(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(entries) => Kind::ListValue(ListValue {
            values: entries.into_iter().map(told).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(Struct {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, told(value)))
                .collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Reads a value from the wire. The wire nests at most as deep as it could be decoded.
pub fn heard(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(value)) => {
            Number::from_f64(value).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(heard).collect(),
        Some(Kind::StructValue(fields)) => {
            let fields = fields.fields.into_iter();
            fields.map(|(name, value)| (name, heard(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn b11_a_value_is_heard_as_it_was_told() {
        let value = json!({ "a": [null, true, 1.5, "x", {}], "b": { "c": [] } });
        assert_eq!(heard(told(value.clone())), value);
        assert_eq!(heard(prost_types::Value { kind: None }), Value::Null);
    }
}
