//! Custom fields.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::field::{Entity, Type};
use switchboard_proto::crm_cards::v1::{
    CreateFieldRequest, DeleteFieldRequest, Field, FieldOptions, ListFieldsRequest,
    UpdateFieldRequest,
};
use uuid::Uuid;

use super::RequestId;
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};

/// Verbs on custom fields.
#[derive(Subcommand)]
pub(crate) enum FieldVerb {
    /// Create a field, at the end
    Create {
        /// What has it
        #[arg(value_parser = choice!(Entity, "ENTITY_", ["card", "contact", "company", "order"]))]
        entity: Entity,
        /// By what it is named: a-z, 0-9 and _, a letter first
        // Every verb has an option of this name for the signing key.
        #[arg(id = "field_key", value_name = "KEY")]
        key: String,
        /// Name to show
        name: String,
        /// What its values are
        #[arg(default_value = "text", value_parser = choice!(Type, "TYPE_",
              ["text", "number", "flag", "date", "select", "multi-select", "url"]))]
        kind: Type,
        /// What can be chosen, of a select or multi-select (repeatable)
        #[arg(long = "option", value_name = "OPTION")]
        options: Vec<String>,
        /// Asked for by forms, and never cleared again
        #[arg(long)]
        required: bool,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List the fields of a kind of entity
    List {
        /// What has them
        #[arg(default_value = "card",
              value_parser = choice!(Entity, "ENTITY_", ["card", "contact", "company", "order"]))]
        entity: Entity,
    },
    /// Change a field
    Update {
        /// Id
        field: Uuid,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// What can be chosen from now on, all of it (repeatable)
        #[arg(long = "option", value_name = "OPTION")]
        options: Vec<String>,
        /// Asked for by forms, or not
        #[arg(long, value_name = "BOOL")]
        required: Option<bool>,
        /// Its place
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        position: Option<i32>,
    },
    /// Delete a field; entities keep their values, and nobody sees them until it is created again
    Delete {
        /// Id
        field: Uuid,
    },
}

impl Show for Field {
    const NAME: &'static str = "switchboard.crm_cards.v1.Field";
    const HEADERS: &'static [&'static str] =
        &["ID", "KEY", "NAME", "TYPE", "OPTIONS", "REQUIRED", "PLACE"];
    const OPTIONAL: &'static [&'static str] = &["PLACE", "OPTIONS"];
    const SPARSE: &'static [&'static str] = &["OPTIONS"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![
            cell(&self.field_id),
            cell(&self.key),
            cell(&self.name),
            cell(words::word(self.r#type().as_str_name(), "TYPE_")),
            cell(words::short(&self.options.join(", "), 60)),
            cell(words::yes(self.required)).by_word(),
            cell(self.position),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: FieldVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.fields(&session.role().await?).await?;
    match verb {
        FieldVerb::Create {
            entity,
            key,
            name,
            kind,
            options,
            required,
            request_id,
        } => {
            let request = CreateFieldRequest {
                request_id: request_id.get(),
                entity: entity.into(),
                key,
                name,
                r#type: kind.into(),
                options,
                required,
            };
            view.one(client.create_field(request).await?.into_inner().field)
        }
        FieldVerb::List { entity } => {
            let request = ListFieldsRequest {
                entity: entity.into(),
            };
            let fields = client.list_fields(request).await?.into_inner().fields;
            view.list(&fields, "")
        }
        FieldVerb::Update {
            field,
            name,
            options,
            required,
            position,
        } => {
            let options = (!options.is_empty()).then_some(FieldOptions { values: options });
            let request = UpdateFieldRequest {
                field_id: field.to_string(),
                name,
                options,
                required,
                position,
                expected_revision: None,
            };
            view.one(client.update_field(request).await?.into_inner().field)
        }
        FieldVerb::Delete { field } => {
            let field_id = field.to_string();
            client.delete_field(DeleteFieldRequest { field_id }).await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
    }
}
