//! Methods of assignment.

use super::super::requests::*;
use super::Told::{Hidden, May, Refused, Seen, Without, Wrong};
use super::{
    CHANNEL, CHAT, DEED, LINE, LINES, NEW, NOBODY, Row, SETTING, STAFF, STAFFS, row, service,
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    [
        service(
            "assignment.v1.AssignmentService",
            [
                row("CreateAccount", create_account, "", NOBODY),
                row("ListAccounts", nothing, "", NOBODY),
                row("CreateAgent", create_agent, "", NEW),
                row("UpdateAgent", update_agent, "", SETTING),
                row("GetAgent", agent, "keeper", STAFF),
                row("ListAgents", nothing, "keeper", STAFFS),
                row("SetPresence", set_presence, "", SETTING),
                row("GetAgentAccess", agent, "", NOBODY),
                row("ListAgentAccess", nothing, "", NOBODY),
                row(
                    "SetDistributionPolicy",
                    policy,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, Wrong,
                    ],
                ),
                row(
                    "GetDistributionPolicy",
                    channel,
                    "keeper",
                    [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
                ),
                row("AssignChat", chat_and_agent, "", DEED),
                row("JoinChat", chat, "", DEED),
                row("AddParticipants", add_participants, "", DEED),
                row("LeaveChat", chat, "", DEED),
                row("RedirectChat", chat_and_agent, "", DEED),
                row("UnassignChat", chat, "", DEED),
                row("ClaimChat", chat, "", DEED),
                row("AdmitReply", chat_and_agent, "", NOBODY),
                row("GetChatAssignment", chat, "keeper", CHAT),
                row("ListChatAssignments", nothing, "", NOBODY),
                row("ExplainAssignment", chat, "conversation", CHAT),
            ],
        ),
        service(
            "assignment.v1.CalendarService",
            [
                row("GetCalendar", hours_of_channel, "channel", LINE),
                row("GetCalendar", hours_of_agent, "keeper", STAFF),
                row("ListCalendars", nothing, "channel", LINES),
                row("ListCalendars", nothing, "keeper", STAFFS),
                row("GetWorkingTime", hours_of_channel, "", NOBODY),
                row("DeleteCalendar", hours_of_channel, "", CHANNEL),
                row("DeleteCalendar", hours_of_agent, "", SETTING),
                row(
                    "SetCalendar",
                    set_hours_of_channel,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row("SetCalendar", set_hours_of_agent, "", SETTING),
            ],
        ),
        service(
            "assignment.v1.GroupService",
            [
                row("CreateGroup", create_group, "", NEW),
                row("UpdateGroup", update_group, "", SETTING),
                row("GetGroup", group, "group", STAFF),
                row("ListGroups", nothing, "group", STAFFS),
                row("ListAgentGroups", agent, "", NOBODY),
                row("DeleteGroup", group, "", SETTING),
            ],
        ),
        service(
            "assignment.v1.PresenceService",
            [
                row(
                    "KeepPresence",
                    nothing,
                    "",
                    [May, May, May, May, Refused, May, May, May],
                ),
                row("SetPresenceOptions", set_presence_options, "", SETTING),
                row("GetPresenceOptions", agent, "keeper", STAFF),
            ],
        ),
        service(
            "assignment.v1.ResponsibleSyncService",
            [
                row(
                    "SetResponsibleSync",
                    sync_of_channel,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row(
                    "GetResponsibleSync",
                    channel,
                    "",
                    [May, May, May, May, May, Hidden, Hidden, May],
                ),
                row("SetContactFields", contact_fields, "", NEW),
                row("GetContactFields", nothing, "", [May; 8]),
            ],
        ),
        service(
            "assignment.v1.RoleService",
            [
                row("CreateRole", create_role, "", NEW),
                row("UpdateRole", update_role, "", SETTING),
                row("GetRole", role, "role", STAFF),
                row("ListRoles", nothing, "role", STAFFS),
                row("DeleteRole", role, "", SETTING),
            ],
        ),
    ]
    .concat()
}
