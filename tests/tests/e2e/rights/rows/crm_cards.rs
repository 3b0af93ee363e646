//! Methods of crm-cards.

use super::super::requests::*;
use super::Told::{Hidden, May, Refused, Seen, Without, Wrong};
use super::{
    BOUND, CHANGE, DECISION, ENTITIES, ENTITY, NEW, NOBODY, OF_ENTITY, OUTSIDE, PERSON, Row,
    SETTING, STAFF, STAFFS, row, service,
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn rows() -> Vec<Row> {
    [
        service(
            "crm_cards.v1.CrmCardsService",
            [
                row("CreatePipeline", create_pipeline, "", NEW),
                row("ListPipelines", nothing, "pipeline", STAFFS),
                row("CreateSource", create_source, "", NEW),
                row("ListSources", nothing, "source", STAFFS),
                row(
                    "SetPipelineConnection",
                    connection,
                    "",
                    [
                        May, Refused, Refused, Refused, Refused, Hidden, Refused, May,
                    ],
                ),
                row(
                    "GetPipelineConnection",
                    channel,
                    "source",
                    [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Without],
                ),
                row(
                    "CreateCard",
                    chat,
                    "",
                    [May, May, May, May, Refused, Hidden, Hidden, Hidden],
                ),
                row("GetCard", card, "contact", ENTITY),
                row("ListCards", nothing, "card", ENTITIES),
                row("ListCards", chat, "card", BOUND),
                row("MoveCard", move_card, "", CHANGE),
                row("GetContact", contact, "customer", ENTITY),
                row("ListContacts", nothing, "contact", ENTITIES),
                row("SaveBuyer", contact, "", CHANGE),
                row("CreateOrder", contact, "", CHANGE),
                row("MoveOrder", move_order, "", CHANGE),
                row("GetChatConnections", chat, "card", BOUND),
                row("GetChatConnections", chat, "order", BOUND),
                row(
                    "OpenChatConnections",
                    chat,
                    "card",
                    // Who sees their own alone gets a lead of their own by it (F178).
                    [Seen, Seen, May, Refused, Refused, Without, Without, Without],
                ),
                row("ExplainCard", card, "chat", DECISION),
                row("ExplainCard", conversation, "chat", DECISION),
                row(
                    "ListDecisions",
                    nothing,
                    "conversation",
                    [
                        Seen, Seen, Without, Refused, Refused, Without, Without, Without,
                    ],
                ),
                row("ListDecisions", chat, "conversation", BOUND),
            ],
        ),
        service(
            "crm_cards.v1.EntityChatService",
            [
                row("ListEntityChats", card, "chat", OF_ENTITY),
                row("ListEntityChats", contact, "chat", OF_ENTITY),
                row("ListEntityChats", order, "chat", OF_ENTITY),
                row("ListEntityChats", company, "", OF_ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.EntityAccessService",
            [row("CheckEntityAccess", card, "", NOBODY)],
        ),
        service(
            "crm_cards.v1.OrderService",
            [
                row("GetOrder", order, "order", ENTITY),
                row("ListOrders", nothing, "order", ENTITIES),
                row("ListOrders", contact, "order", ENTITIES),
                row("UpdateOrder", update_order, "", CHANGE),
                row("GetBuyerTotals", contact, "", ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.PipelineService",
            [
                row("GetPipeline", pipeline, "pipeline", STAFF),
                row("UpdatePipeline", update_pipeline, "", SETTING),
                row(
                    "MoveCards",
                    move_cards,
                    "",
                    [May, Refused, Refused, Refused, Refused, May, Refused, Wrong],
                ),
                row("DeletePipeline", pipeline, "", SETTING),
                row("UpdateSource", update_source, "", SETTING),
                row("DeleteSource", source, "", SETTING),
            ],
        ),
        service(
            "crm_cards.v1.FieldService",
            [
                row("CreateField", create_field, "", NEW),
                row("UpdateField", update_field, "", SETTING),
                row("ListFields", fields, "field", STAFFS),
                row("DeleteField", field, "", SETTING),
            ],
        ),
        service(
            "crm_cards.v1.HistoryService",
            [
                row("ListHistory", card, "note id", ENTITY),
                row("ListHistory", contact, "", ENTITY),
                row("ListHistory", order, "", ENTITY),
                row("ListHistory", company, "", ENTITY),
            ],
        ),
        service(
            "crm_cards.v1.ContactService",
            [
                row("CreateContact", create_contact, "", PERSON),
                row("UpdateContact", update_contact, "", CHANGE),
                row("ListSuspectedDuplicates", nothing, "twin", ENTITIES),
                row("DismissDuplicate", dismiss_duplicate, "", CHANGE),
                row("MergeContacts", merge_contacts, "", CHANGE),
                row("BindBuyer", bind_buyer, "", CHANGE),
                row(
                    "BindBuyer",
                    bind_chat,
                    "",
                    [May, May, Hidden, Refused, Refused, Hidden, Hidden, Hidden],
                ),
                row("UnmergeContact", unmerge_contact, "", CHANGE),
                row("DeleteContact", free_contact, "", CHANGE),
                row("SetContactSettings", contact_settings, "", NEW),
                row("GetContactSettings", nothing, "", [May; 8]),
            ],
        ),
        service(
            "crm_cards.v1.CompanyService",
            [
                row("CreateCompany", create_company, "", PERSON),
                row("GetCompany", company, "company", ENTITY),
                row("ListCompanies", nothing, "company", ENTITIES),
                row("UpdateCompany", update_company, "", CHANGE),
                row("DeleteCompany", company, "", CHANGE),
            ],
        ),
        service(
            "crm_cards.v1.ExternalCrmService",
            [row(
                "SetEntityResponsibles",
                set_entity_responsibles,
                "",
                OUTSIDE,
            )],
        ),
        service(
            "crm_cards.v1.CardService",
            [
                row(
                    "GetBoard",
                    pipeline,
                    "card",
                    [Seen, Seen, Without, Refused, Refused, Seen, Seen, Hidden],
                ),
                row("ListCardNotes", card, "note", ENTITY),
                row("UpdateCard", update_card, "", CHANGE),
                row("ConvertCard", card, "", CHANGE),
                row("AddCardNote", add_note, "", CHANGE),
                row("AddCardParticipants", card_and_agent, "", CHANGE),
                row("RemoveCardParticipants", card_and_agent, "", CHANGE),
                row("DeleteCard", card, "", CHANGE),
            ],
        ),
        service(
            "crm_cards.v1.TransferService",
            [
                row("ImportRecords", import_contacts, "", PERSON),
                row("ExportRecords", export_contacts, "contact", ENTITIES),
                row("ExportRecords", export_cards, "card", ENTITIES),
            ],
        ),
    ]
    .concat()
}
