//! How values are written, for the schema: a form for each kind of text that is more than a text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

macro_rules! form {
    ($(#[$doc:meta])* $name:ident: $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

form! {
    /// A number with a unit of time.
    DurationText: {
        "type": "string",
        "pattern": "^ *[0-9]+ *(us|ms|s|m|h|d) *$",
        "examples": ["250ms", "10s", "2m", "36h", "7d"]
    }
}

form! {
    /// A number of bytes, with or without a unit.
    BytesText: {
        "type": ["string", "integer"],
        "minimum": 0,
        "examples": ["64MiB", "8GiB"]
    }
}

form! {
    /// What nobody is to read: it is masked wherever it is shown.
    SecretText: { "type": "string", "format": "password" }
}

form! {
    /// An address to listen on.
    AddressText: {
        "type": "string",
        "pattern": "^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+):[0-9]{1,5}$",
        "examples": ["0.0.0.0:8080", "[::]:8080"]
    }
}
