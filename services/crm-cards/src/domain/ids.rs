//! Ids of this service's rows, and those of others that it refers to.

use chassis::id::{AccountSlug, AgentId, v5};
use chassis::uuid_id;
use uuid::Uuid;

use super::columns::RecordKind;

uuid_id!(
    /// A connected line of a messenger, or a mailbox.
    pub struct ChannelId
);
uuid_id!(
    /// A person outside, as conversation knows them.
    pub struct ClientId
);
uuid_id!(
    /// The lasting thread between a client and a channel.
    pub struct ChatId
);
uuid_id!(
    /// One opened-to-closed episode of a chat.
    pub struct ConversationId
);
uuid_id!(
    /// A person in CRM.
    pub struct ContactId
);
uuid_id!(
    /// A company that contacts belong to.
    pub struct CompanyId
);
uuid_id!(
    /// A lead or deal.
    pub struct CardId
);
uuid_id!(
    /// An order of a buyer.
    pub struct OrderId
);
uuid_id!(
    /// An ordered list of statuses.
    pub struct PipelineId
);
uuid_id!(
    /// A status of a pipeline.
    pub struct StatusId
);
uuid_id!(
    /// Where cards come from.
    pub struct SourceId
);
uuid_id!(
    /// A custom field.
    pub struct FieldId
);

/// Returns the id of the contact whose first identity this is.
pub fn contact_of(account: &AccountSlug, scope: &str, user_id: &str) -> ContactId {
    v5("contact", &[account.as_str(), scope, user_id]).into()
}

/// Returns the id of the card that a conversation's opening makes, if it makes one (X01).
pub fn card_of(conversation: ConversationId) -> CardId {
    v5("card", &[&conversation.to_string()]).into()
}

/// Returns the id of the record that imports make of a key: of its id elsewhere. No other way of making records makes such
/// ids, so that none can be taken from them.
pub fn of_key(account: &AccountSlug, kind: RecordKind, key: &str) -> Uuid {
    v5("imported", &[account.as_str(), kind.as_str(), key])
}

/// Returns the id of the record that an import makes of a row without a key: of its line, and of what it says, so that a file
/// that was changed meanwhile never passes one row for another.
pub fn of_line(
    account: &AccountSlug,
    kind: RecordKind,
    import: &str,
    line: u64,
    cells: &[String],
) -> Uuid {
    let line = line.to_string();
    let mut parts = vec![account.as_str(), kind.as_str(), import, &line];
    parts.extend(cells.iter().map(String::as_str));
    v5("imported-line", &parts)
}

/// Returns the id of the lead that an agent gets by opening a chat's connections (F178): one for each chat and agent.
pub fn card_of_opener(account: &AccountSlug, chat: ChatId, agent: AgentId) -> CardId {
    let parts = [account.as_str(), &chat.to_string(), &agent.to_string()];
    v5("card-of-opener", &parts).into()
}
