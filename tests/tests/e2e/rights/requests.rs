//! How methods are asked for the things of an account.

use serde_json::{Value, json};

use super::things::Things;

pub fn nothing(_: &Things) -> Value {
    json!({})
}

pub fn chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat") })
}

pub fn words(things: &Things) -> Value {
    json!({ "text": things.get("words") })
}

pub fn provider_key(things: &Things) -> Value {
    json!({ "provider_key": things.get("provider key"), "channel_ids": [things.get("channel")] })
}

pub fn opened(_: &Things) -> Value {
    json!({ "types": ["conversation.opened"] })
}

pub fn key_actions(_: &Things) -> Value {
    json!({ "include_key_actions": true, "page_size": 200 })
}

pub fn named_chats(things: &Things) -> Value {
    json!({ "chat_ids": [things.get("chat")] })
}

pub fn channel(things: &Things) -> Value {
    json!({ "channel_id": things.get("channel") })
}

pub fn pause(things: &Things) -> Value {
    json!({ "kind": "PAUSE_KIND_CHANNEL", "subject_id": things.get("channel") })
}

pub fn agent(things: &Things) -> Value {
    json!({ "agent_id": things.get("keeper") })
}

pub fn chat_and_agent(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "agent_id": things.get("keeper") })
}

pub fn attachment(things: &Things) -> Value {
    json!({ "attachment_id": things.get("attachment") })
}

pub fn card(things: &Things) -> Value {
    json!({ "card_id": things.get("card") })
}

pub fn contact(things: &Things) -> Value {
    json!({ "contact_id": things.get("contact") })
}

pub fn role(things: &Things) -> Value {
    json!({ "role_id": things.get("role") })
}

pub fn group(things: &Things) -> Value {
    json!({ "group_id": things.get("group") })
}

pub fn hours_of_channel(things: &Things) -> Value {
    json!({ "owner": channel(things) })
}

pub fn hours_of_agent(things: &Things) -> Value {
    json!({ "owner": agent(things) })
}

pub fn set_hours_of_channel(things: &Things) -> Value {
    json!({ "calendar": { "owner": channel(things), "time_zone": "Europe/Rome" } })
}

pub fn sync_of_channel(things: &Things) -> Value {
    json!({ "sync": { "channel_id": things.get("channel"), "from_crm": ["ENTITY_KIND_COMPANY"] } })
}

pub fn contact_fields(_: &Things) -> Value {
    json!({ "contact_fields": { "allowed": true } })
}

pub fn set_hours_of_agent(things: &Things) -> Value {
    json!({ "calendar": { "owner": agent(things), "time_zone": "Europe/Rome" } })
}

pub fn bot(things: &Things) -> Value {
    json!({ "channel_id": things.get("channel"), "telegram_bot": { "token": things.account.bot_token } })
}

pub fn new_bot(things: &Things) -> Value {
    json!({
        "channel_id": things.get("channel"), "name": "Mine",
        "telegram_bot": { "token": things.account.bot_token },
    })
}

pub fn policy(things: &Things) -> Value {
    json!({ "policy": {
        "channel_id": things.get("channel"), "distribution": "DISTRIBUTION_ROUND_ROBIN",
        "agent_ids": [things.get("keeper")], "claim_before_reply": true,
    } })
}

pub fn rule(things: &Things) -> Value {
    json!({ "rule": { "channel_id": things.get("channel"), "continue_minutes": 5, "off_hours_reply": things.get("rule words") } })
}

pub fn connection(things: &Things) -> Value {
    json!({ "connection": { "channel_id": things.get("channel"), "mode": "MODE_NONE" } })
}

pub fn create_account(_: &Things) -> Value {
    json!({ "slug": "mine" })
}

pub fn create_agent(_: &Things) -> Value {
    json!({ "name": "New" })
}

pub fn update_agent(things: &Things) -> Value {
    json!({ "agent_id": things.get("keeper"), "name": "Mine" })
}

pub fn set_presence(things: &Things) -> Value {
    json!({ "agent_id": things.get("keeper"), "presence": "PRESENCE_AWAY" })
}

pub fn add_participants(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "agent_ids": [things.get("keeper")] })
}

pub fn create_group(_: &Things) -> Value {
    json!({ "name": "New" })
}

/// A file of one contact: `name`, then `Imported`.
pub fn import_contacts(_: &Things) -> Value {
    json!({
        "plan": { "kind": "RECORD_KIND_CONTACT", "import_id": "mine" },
        "chunk": "bmFtZQpJbXBvcnRlZAo=",
    })
}

pub fn export_contacts(_: &Things) -> Value {
    json!({ "kind": "RECORD_KIND_CONTACT" })
}

pub fn export_cards(_: &Things) -> Value {
    json!({ "kind": "RECORD_KIND_CARD" })
}

pub fn update_group(things: &Things) -> Value {
    json!({ "group_id": things.get("group"), "name": "Mine" })
}

pub fn set_presence_options(things: &Things) -> Value {
    json!({ "options": { "agent_id": things.get("keeper"), "follow_calendar": true } })
}

pub fn create_role(_: &Things) -> Value {
    json!({ "name": "New" })
}

pub fn update_role(things: &Things) -> Value {
    json!({ "role_id": things.get("role"), "settings": true })
}

pub fn send_message(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "text": { "text": "Mine" } })
}

pub fn labelled_chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "add_labels": ["VIP"] })
}

pub fn create_bot(_: &Things) -> Value {
    json!({ "bot": { "name": "Another", "nps": true } })
}

pub fn update_bot(things: &Things) -> Value {
    let step = json!({ "key": "hello", "send": { "text": { "text": "Hello" } } });
    json!({ "bot": { "bot_id": things.get("scenario"), "name": "Changed", "steps": [step] } })
}

pub fn scenario(things: &Things) -> Value {
    json!({ "bot_id": things.get("scenario") })
}

pub fn chat_and_scenario(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "bot_id": things.get("scenario") })
}

pub fn nps_totals(_: &Things) -> Value {
    json!({ "from_time": "2026-01-01T00:00:00Z", "to_time": "2027-01-01T00:00:00Z" })
}

pub fn own_filter(_: &Things) -> Value {
    json!({ "filter": { "name": "Mine", "list": { "mine": true } } })
}

pub fn shared_filter(_: &Things) -> Value {
    json!({ "filter": { "name": "All", "shared": true } })
}

pub fn no_filter(things: &Things) -> Value {
    json!({ "filter_id": things.get("chat") })
}

pub fn write_first(things: &Things) -> Value {
    json!({ "contact_id": things.get("contact"), "channel_id": things.get("channel") })
}

pub fn retry_message(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "message_id": things.get("answer") })
}

pub fn create_quick_reply(_: &Things) -> Value {
    json!({ "owner_kind": "OWNER_KIND_ACCOUNT", "title": "New", "text": { "text": "New" } })
}

pub fn create_quick_reply_of_group(things: &Things) -> Value {
    json!({
        "owner_kind": "OWNER_KIND_GROUP", "owner_id": things.get("group"), "title": "New", "text": { "text": "New" },
    })
}

/// Their own, of agents; a service owns none.
pub fn create_own_quick_reply(_: &Things) -> Value {
    json!({ "owner_kind": "OWNER_KIND_AGENT", "title": "New", "text": { "text": "New" } })
}

pub fn quick_reply(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("quick reply") })
}

pub fn quick_reply_of_group(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("group's quick reply") })
}

pub fn quick_reply_of_keeper(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("keeper's quick reply") })
}

pub fn update_quick_reply(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("quick reply"), "folder": "Mine" })
}

pub fn update_quick_reply_of_group(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("group's quick reply"), "folder": "Mine" })
}

pub fn update_quick_reply_of_keeper(things: &Things) -> Value {
    json!({ "quick_reply_id": things.get("keeper's quick reply"), "folder": "Mine" })
}

pub fn changeable_quick_replies(_: &Things) -> Value {
    json!({ "changeable": true })
}

pub fn chat_and_quick_reply(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "quick_reply_id": things.get("quick reply") })
}

pub fn hold_attachment(things: &Things) -> Value {
    json!({ "attachment_ids": [things.get("attachment")] })
}

pub fn create_pipeline(_: &Things) -> Value {
    json!({ "name": "New" })
}

pub fn create_source(_: &Things) -> Value {
    json!({ "name": "New" })
}

pub fn move_card(things: &Things) -> Value {
    json!({ "card_id": things.get("card"), "status_id": things.get("status") })
}

pub fn move_order(things: &Things) -> Value {
    json!({ "order_id": things.get("order"), "status": "STATUS_KIND_SUCCESSFUL" })
}

pub fn update_order(things: &Things) -> Value {
    json!({ "order_id": things.get("order"), "comment": "Wants it on Monday" })
}

pub fn update_pipeline(things: &Things) -> Value {
    json!({ "pipeline_id": things.get("pipeline"), "name": "Mine" })
}

pub fn pipeline(things: &Things) -> Value {
    json!({ "pipeline_id": things.get("pipeline") })
}

pub fn move_cards(things: &Things) -> Value {
    json!({ "from_status_id": things.get("status"), "to_status_id": things.get("other status") })
}

pub fn source(things: &Things) -> Value {
    json!({ "source_id": things.get("source") })
}

pub fn update_source(things: &Things) -> Value {
    json!({ "source_id": things.get("source"), "name": "Mine" })
}

pub fn fields(_: &Things) -> Value {
    json!({ "entity": "ENTITY_CARD" })
}

pub fn create_field(_: &Things) -> Value {
    json!({ "entity": "ENTITY_CARD", "key": "mine", "name": "Mine", "type": "TYPE_TEXT" })
}

pub fn field(things: &Things) -> Value {
    json!({ "field_id": things.get("field") })
}

pub fn update_field(things: &Things) -> Value {
    json!({ "field_id": things.get("field"), "name": "Mine" })
}

pub fn update_card(things: &Things) -> Value {
    json!({ "card_id": things.get("card"), "title": "Mine" })
}

pub fn add_note(things: &Things) -> Value {
    json!({ "card_id": things.get("card"), "text": "Mine" })
}

pub fn card_and_agent(things: &Things) -> Value {
    json!({ "card_id": things.get("card"), "agent_ids": [things.get("keeper")] })
}

pub fn order(things: &Things) -> Value {
    json!({ "order_id": things.get("order") })
}

pub fn named_chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "name": "" })
}

pub fn note(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "text": { "text": "for us alone" } })
}

pub fn message_of_chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "message_id": things.get("message") })
}

pub fn edit_message(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "message_id": things.get("message"), "text": { "text": "other words" } })
}

pub fn react_to_message(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "message_id": things.get("message"), "emoji": "👍" })
}

pub fn on_card(things: &Things) -> Value {
    json!({ "entity": { "kind": "KIND_CARD", "entity_id": things.get("card") } })
}

pub fn on_order(things: &Things) -> Value {
    json!({ "entity": { "kind": "KIND_ORDER", "entity_id": things.get("order") } })
}

pub fn internal_message(things: &Things) -> Value {
    let mut ask = on_card(things);
    ask["text"] = json!({ "text": "among us" });
    ask["agent_ids"] = json!([things.get("keeper")]);
    ask
}

pub fn all(_: &Things) -> Value {
    json!({ "all": true })
}

pub fn viewing(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "activity": "ACTIVITY_VIEWING" })
}

pub fn conversation(things: &Things) -> Value {
    json!({ "conversation_id": things.get("conversation") })
}

pub fn create_upload(_: &Things) -> Value {
    json!({ "file_name": "a", "size": 1 })
}

pub fn update_channel(things: &Things) -> Value {
    json!({ "channel_id": things.get("channel"), "name": "Mine" })
}

pub fn get_dead_letter(_: &Things) -> Value {
    json!({ "sequence": 1 })
}

pub fn company(things: &Things) -> Value {
    json!({ "company_id": things.get("company") })
}

pub fn create_company(_: &Things) -> Value {
    json!({ "name": "Mine" })
}

pub fn set_entity_responsibles(things: &Things) -> Value {
    json!({ "entities": [{
        "kind": "ENTITY_KIND_COMPANY", "entity_id": things.get("company"),
        "stamp": { "time": "2026-01-01T00:00:00Z", "event_id": "00000000-0000-4000-8000-000000000001" },
    }] })
}

pub fn update_company(things: &Things) -> Value {
    json!({ "company_id": things.get("company"), "name": "Mine" })
}

pub fn create_contact(_: &Things) -> Value {
    json!({ "name": "Mine" })
}

pub fn update_contact(things: &Things) -> Value {
    json!({ "contact_id": things.get("contact"), "name": "Mine" })
}

pub fn free_contact(things: &Things) -> Value {
    json!({ "contact_id": things.get("free contact") })
}

pub fn merge_contacts(things: &Things) -> Value {
    json!({ "from_contact_id": things.get("merged"), "into_contact_id": things.get("merger") })
}

pub fn unmerge_contact(things: &Things) -> Value {
    json!({ "contact_id": things.get("merged") })
}

pub fn bind_buyer(things: &Things) -> Value {
    json!({ "contact_id": things.get("merged"), "buyer_contact_id": things.get("merger") })
}

pub fn bind_chat(things: &Things) -> Value {
    json!({ "chat_id": things.get("chat"), "buyer_contact_id": things.get("contact") })
}

pub fn dismiss_duplicate(things: &Things) -> Value {
    json!({ "first_contact_id": things.get("contact"), "second_contact_id": things.get("twin") })
}

pub fn contact_settings(_: &Things) -> Value {
    json!({ "settings": { "phone_region": "UA" } })
}
