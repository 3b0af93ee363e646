//! Roles.

use clap::{Args, Subcommand};
use switchboard_proto::assignment::v1::{
    CreateRoleRequest, DeleteRoleRequest, GetRoleRequest, KindAccess, ListRolesRequest, Role,
    UpdateRoleRequest, View as Seen,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on roles.
#[derive(Subcommand)]
pub(crate) enum RoleVerb {
    /// Create a role; it grants what the options say
    Create {
        /// Name
        name: String,
        #[command(flatten)]
        rights: RightArgs,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List roles
    List(Page),
    /// Change a role, and with it what all its agents may do
    Update {
        /// Id
        role: Uuid,
        /// New name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        rights: RightArgs,
    },
    /// Delete a role that no agent has
    Delete {
        /// Id
        role: Uuid,
    },
}

/// What a role grants.
#[derive(Args)]
pub(crate) struct RightArgs {
    /// Leads, deals and orders to see
    #[arg(long, value_name = "SEEN", value_parser = choice!(Seen, "VIEW_", ["none", "own", "all"]))]
    leads: Option<Seen>,
    /// May create leads; those who see any may where this is left out
    #[arg(long, value_name = "YES|NO", requires = "leads")]
    create_leads: Option<bool>,
    /// Contacts, companies and buyers to see
    #[arg(long, value_name = "SEEN", value_parser = choice!(Seen, "VIEW_", ["none", "own", "all"]))]
    contacts: Option<Seen>,
    /// May create contacts; those who see any may where this is left out
    #[arg(long, value_name = "YES|NO", requires = "contacts")]
    create_contacts: Option<bool>,
    /// May change settings
    #[arg(long, value_name = "YES|NO", num_args = 0..=1, default_missing_value = "true")]
    settings: Option<bool>,
}

fn kind(seen: Option<Seen>, create: Option<bool>) -> Option<KindAccess> {
    seen.map(|seen| KindAccess {
        create: create.unwrap_or(seen != Seen::None),
        view: seen.into(),
    })
}

impl Show for Role {
    const NAME: &'static str = "switchboard.assignment.v1.Role";
    const HEADERS: &'static [&'static str] =
        &["ID", "NAME", "LEADS", "CONTACTS", "SETTINGS", "AGENTS"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let kind = |kind: Option<&KindAccess>| {
            let kind = kind.copied().unwrap_or_default();
            let seen = words::word(kind.view().as_str_name(), "VIEW_");
            if kind.create {
                format!("{seen}, create")
            } else {
                seen
            }
        };
        vec![
            cell(&self.role_id),
            cell(&self.name),
            cell(kind(self.leads.as_ref())),
            cell(kind(self.contacts.as_ref())),
            cell(words::yes(self.settings)),
            cell(self.agent_count),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: RoleVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.roles(&session.role().await?).await?;
    match verb {
        RoleVerb::Create {
            name,
            rights,
            request_id,
        } => {
            let request = CreateRoleRequest {
                request_id: request_id.get(),
                name,
                leads: kind(rights.leads, rights.create_leads),
                contacts: kind(rights.contacts, rights.create_contacts),
                settings: rights.settings.unwrap_or_default(),
            };
            view.one(client.create_role(request).await?.into_inner().role)
        }
        RoleVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListRolesRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_roles(request).await?.into_inner();
                Ok((page.roles, page.next_page_token))
            };
            let (roles, next) = page.read(ask).await?;
            view.list(&roles, &next)
        }
        RoleVerb::Update { role, name, rights } => {
            let request = UpdateRoleRequest {
                role_id: role.to_string(),
                name,
                leads: kind(rights.leads, rights.create_leads),
                contacts: kind(rights.contacts, rights.create_contacts),
                settings: rights.settings,
                expected_revision: None,
            };
            view.one(client.update_role(request).await?.into_inner().role)
        }
        RoleVerb::Delete { role } => {
            let role_id = role.to_string();
            let asked = GetRoleRequest {
                role_id: role_id.clone(),
            };
            let gone = client.get_role(asked).await?.into_inner().role;
            client.delete_role(DeleteRoleRequest { role_id }).await?;
            view.one(gone)
        }
    }
}
