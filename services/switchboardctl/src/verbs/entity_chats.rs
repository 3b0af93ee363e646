//! Chats of CRM's entities, and their External Lines field.

use clap::Args;
use switchboard_proto::crm_cards::v1::list_entity_chats_request::Entity;
use switchboard_proto::crm_cards::v1::{ExternalLine, ListEntityChatsRequest};

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;

/// Which chats of an entity.
#[derive(Args)]
pub(crate) struct OfEntity {
    /// Only chats of this kind of messenger, as telegram
    #[arg(long, default_value = "", hide_default_value = true)]
    messenger: String,
    #[command(flatten)]
    page: Page,
}

impl OfEntity {
    /// Lists the chats of an entity, the one with the newest message first.
    pub(super) async fn tell(
        self,
        session: &Session,
        view: &View,
        entity: Entity,
    ) -> Result<(), CliError> {
        let mut client = session.entity_chats(&session.role().await?).await?;
        let ask = async |page_size, page_token| {
            let request = ListEntityChatsRequest {
                entity: Some(entity.clone()),
                page_size,
                page_token,
                messenger: self.messenger.clone(),
            };
            let page = client.list_entity_chats(request).await?.into_inner();
            Ok((page.chats, page.next_page_token))
        };
        let (chats, next) = self.page.read(ask).await?;
        view.list(&chats, &next)
    }
}

/// The External Lines field in one cell: `telegram @olena`.
pub(super) fn lines(lines: &[ExternalLine]) -> String {
    let line = |line: &ExternalLine| format!("{} {}", line.messenger, line.account);
    lines.iter().map(line).collect::<Vec<_>>().join(", ")
}
