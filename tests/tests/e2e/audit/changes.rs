//! Every method that changes a setting, with a request that does.

use serde_json::{Value, json};

/// A change of a setting.
pub(super) struct Change {
    /// The method, without the first word of its package.
    pub method: String,
    /// How its entry names it.
    pub action: &'static str,
    /// The request, in which `$kind` is the id of the subject of that kind that the service told of last.
    pub request: Value,
}

/// Every method that changes a setting, in an order in which each changes something.
pub(super) fn changes(channel: &str, pipeline: &str) -> Vec<Change> {
    let mut all = of_assignment(channel);
    all.extend(of_crm_cards(channel, pipeline));
    all.extend(of_conversation(channel));
    all.extend(of_channel_gateway());
    all
}

fn of_conversation(channel: &str) -> Vec<Change> {
    let reply = json!({ "quickReplyId": "$quick-reply" });
    let renamed = json!({ "quickReplyId": "$quick-reply", "title": "Evening hours" });
    let hours = json!({
        "ownerKind": "OWNER_KIND_ACCOUNT", "title": "Hours", "text": { "text": "From 9 to 18" },
    });
    let changes = [
        ("CreateQuickReply", "quick-reply.create", hours),
        ("UpdateQuickReply", "quick-reply.update", renamed),
        ("DeleteQuickReply", "quick-reply.delete", reply),
    ];
    let mut all = listed("conversation.v1.QuickReplyService/", changes);
    let filter = json!({ "filter": { "name": "Open", "shared": true } });
    let changes = [
        ("SaveChatFilter", "chat-filter.create", filter),
        (
            "DeleteChatFilter",
            "chat-filter.delete",
            json!({ "filterId": "$chat-filter" }),
        ),
    ];
    all.extend(listed("conversation.v1.ChatService/", changes));
    let steps = json!([{ "key": "hello", "send": { "text": { "text": "Hello" } } }]);
    let bot = json!({ "bot": { "name": "Greeter", "steps": steps } });
    let renamed = json!({ "bot": { "botId": "$bot", "name": "Doorman", "steps": steps } });
    let changes = [
        ("CreateBot", "bot.create", bot),
        ("UpdateBot", "bot.update", renamed),
        ("DeleteBot", "bot.delete", json!({ "botId": "$bot" })),
    ];
    all.extend(listed("conversation.v1.BotService/", changes));
    let rule = json!({ "rule": { "channelId": channel, "continueMinutes": 60 } });
    let changes = [("SetChannelRule", "channel-rule.set", rule)];
    all.extend(listed("conversation.v1.ChannelRuleService/", changes));
    all
}

fn listed<const N: usize>(package: &str, changes: [(&str, &'static str, Value); N]) -> Vec<Change> {
    let change = |(method, action, request)| Change {
        method: format!("{package}{method}"),
        action,
        request,
    };
    changes.into_iter().map(change).collect()
}

fn of_assignment(channel: &str) -> Vec<Change> {
    let account = json!({ "account": true });
    let calendar = json!({ "owner": account, "timeZone": "Europe/Kyiv" });
    let follows = json!({ "agentId": "$agent", "followStreams": true });
    let policy = json!({ "channelId": channel, "distribution": "DISTRIBUTION_OFF" });
    let (role, group) = (json!({ "roleId": "$role" }), json!({ "groupId": "$group" }));
    let with_settings = json!({ "roleId": "$role", "settings": true });
    let renamed = json!({ "groupId": "$group", "name": "Lviv" });
    let capacity = json!({ "agentId": "$agent", "capacity": 3 });
    let named = |name: &str| json!({ "name": name });
    let changes = [
        ("Assignment", "CreateAgent", "agent.create", named("Olena")),
        ("Assignment", "UpdateAgent", "agent.update", capacity),
        ("Role", "CreateRole", "role.create", named("Sales")),
        ("Role", "UpdateRole", "role.update", with_settings),
        ("Role", "DeleteRole", "role.delete", role),
        ("Group", "CreateGroup", "group.create", named("Kyiv")),
        ("Group", "UpdateGroup", "group.update", renamed),
        ("Group", "DeleteGroup", "group.delete", group),
        (
            "Calendar",
            "SetCalendar",
            "calendar.set",
            json!({ "calendar": calendar }),
        ),
        (
            "Calendar",
            "DeleteCalendar",
            "calendar.delete",
            json!({ "owner": account }),
        ),
        (
            "Presence",
            "SetPresenceOptions",
            "presence-options.set",
            json!({ "options": follows }),
        ),
        (
            "ResponsibleSync",
            "SetResponsibleSync",
            "responsible-sync.set",
            json!({ "sync": { "channelId": channel, "fromCrm": ["ENTITY_KIND_CONTACT"] } }),
        ),
        (
            "ResponsibleSync",
            "SetResponsibleSync",
            "responsible-sync.set",
            json!({ "sync": { "channelId": channel } }),
        ),
        (
            "ResponsibleSync",
            "SetContactFields",
            "contact-fields.set",
            json!({ "contactFields": { "allowed": false } }),
        ),
        (
            "Assignment",
            "SetDistributionPolicy",
            "distribution-policy.set",
            json!({ "policy": policy }),
        ),
    ];
    let change = |(service, method, action, request)| Change {
        method: format!("assignment.v1.{service}Service/{method}"),
        action,
        request,
    };
    changes.into_iter().map(change).collect()
}

fn of_crm_cards(channel: &str, pipeline: &str) -> Vec<Change> {
    let rule = json!({ "channelId": channel, "mode": "MODE_ONE_TIME", "pipelineId": pipeline });
    let changes = [
        (
            "CreatePipeline",
            "pipeline.create",
            json!({ "name": "Repairs" }),
        ),
        ("CreateSource", "source.create", json!({ "name": "Fair" })),
        (
            "SetPipelineConnection",
            "pipeline-connection.set",
            json!({ "connection": rule }),
        ),
    ];
    let mut all = listed("crm_cards.v1.CrmCardsService/", changes);
    let pipeline = json!({ "pipelineId": "$pipeline" });
    let renamed = json!({ "pipelineId": "$pipeline", "name": "Mending" });
    let source = json!({ "sourceId": "$source" });
    let fair = json!({ "sourceId": "$source", "name": "Kyiv fair" });
    let changes = [
        ("UpdatePipeline", "pipeline.update", renamed),
        ("DeletePipeline", "pipeline.delete", pipeline),
        ("UpdateSource", "source.update", fair),
        ("DeleteSource", "source.delete", source),
    ];
    all.extend(listed("crm_cards.v1.PipelineService/", changes));
    let city =
        json!({ "entity": "ENTITY_CARD", "key": "city", "name": "City", "type": "TYPE_TEXT" });
    let required = json!({ "fieldId": "$field", "required": true });
    let changes = [
        ("CreateField", "field.create", city),
        ("UpdateField", "field.update", required),
        (
            "DeleteField",
            "field.delete",
            json!({ "fieldId": "$field" }),
        ),
    ];
    all.extend(listed("crm_cards.v1.FieldService/", changes));
    let region = json!({ "settings": { "phoneRegion": "UA" } });
    let changes = [("SetContactSettings", "contact-settings.set", region)];
    all.extend(listed("crm_cards.v1.ContactService/", changes));
    all
}

fn of_channel_gateway() -> Vec<Change> {
    let number = 6_000_000_000 + u64::from(rand::random::<u32>());
    let bot = json!({ "token": format!("{number}:{}", "B".repeat(35)) });
    let channel = json!({ "channelId": "$channel" });
    let renamed = json!({ "channelId": "$channel", "name": "Third" });
    let connected = json!({ "channelId": "$channel", "telegramBot": bot });
    let changes = [
        (
            "CreateChannel",
            "channel.create",
            json!({ "name": "Second", "telegramBot": bot }),
        ),
        ("UpdateChannel", "channel.update", renamed),
        ("EnableChannel", "channel.enable", channel.clone()),
        ("DisableChannel", "channel.disable", channel.clone()),
        ("DisconnectChannel", "channel.disconnect", channel),
        ("ConnectChannel", "channel.connect", connected),
    ];
    listed("channel_gateway.v1.ChannelGatewayService/", changes)
}
