//! Companies, and contacts that may be one person.

use chassis::grpc::timestamp;
use switchboard_proto::common::v1 as common;
use switchboard_proto::crm_cards::v1 as wire;
use switchboard_proto::crm_cards::v1::duplicate_reason::Kind;

use super::{contact, field_values, linked, stamp_opt, text};
use crate::app::duplicates::Duplicate;
use crate::domain::duplicates::Reason;
use crate::domain::entity::Company;
use crate::domain::points::Region;

/// Writes a company.
pub fn company(company: &Company) -> wire::Company {
    wire::Company {
        company_id: company.id.to_string(),
        name: company.name.clone(),
        parent_company_id: text(company.parent),
        phones: company.phones.clone(),
        emails: company.emails.clone(),
        responsible_agent_id: text(company.responsible),
        fields: field_values(&company.fields),
        create_time: Some(timestamp(company.created_at)),
        revision: company.revision,
        external_lines: Vec::new(),
        responsible_stamp: stamp_opt(company.stamp),
        participant_agent_ids: Vec::new(),
    }
}

/// Writes a company as a linked entity (F034).
pub fn linked_company(company: &Company) -> common::LinkedEntity {
    let kind = common::EntityKind::Company;
    linked(kind, company.id, company.responsible, company.stamp)
}

/// Writes what two contacts have in common.
pub fn duplicate_reason(reason: &Reason) -> wire::DuplicateReason {
    let (kind, value) = match reason {
        Reason::Phone(phone) => (Kind::Phone, phone.clone()),
        Reason::Email(email) => (Kind::Email, email.clone()),
        Reason::Visitor(visitor) => (Kind::Visitor, visitor.to_string()),
    };
    wire::DuplicateReason {
        kind: kind.into(),
        value,
    }
}

/// Writes a suspected pair.
pub fn duplicate(duplicate: &Duplicate) -> wire::SuspectedDuplicate {
    let reasons = duplicate.suspected.reasons.iter();
    wire::SuspectedDuplicate {
        first: Some(contact(&duplicate.first)),
        second: Some(contact(&duplicate.second)),
        reasons: reasons.map(duplicate_reason).collect(),
        suspect_time: Some(timestamp(duplicate.suspected.at)),
    }
}

/// Writes how contacts are read.
pub fn contact_settings(region: Option<Region>) -> wire::ContactSettings {
    wire::ContactSettings {
        phone_region: region.map_or_else(String::new, |region| region.code().to_owned()),
    }
}
