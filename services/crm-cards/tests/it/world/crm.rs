//! What tests ask of cards, fields and histories.

use chassis::testing;
use switchboard_proto::crm_cards::v1::Status as CardStatus;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService as _;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::field_service_server::FieldService as _;
use switchboard_proto::crm_cards::v1::history_service_server::HistoryService as _;
use switchboard_proto::crm_cards::v1::*;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{Tenant, World};

/// The reason of a refusal.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// A fact of a refusal.
pub fn fact(status: &Status, name: &str) -> String {
    let facts = status.get_details_error_info().unwrap().metadata;
    facts.get(name).cloned().unwrap_or_default()
}

/// The first field that a refusal names.
pub fn field(status: &Status) -> String {
    fields(status).swap_remove(0)
}

/// The fields that a refusal names.
pub fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().unwrap();
    let fields = bad.field_violations.into_iter();
    fields.map(|violation| violation.field).collect()
}

impl World {
    /// A card without a chat, in the account's only pipeline.
    pub async fn card(&self, tenant: &Tenant, title: &str) -> Card {
        let request = CreateCardRequest {
            title: title.into(),
            ..CreateCardRequest::default()
        };
        self.new_card(tenant, request).await.unwrap()
    }

    pub async fn new_card(
        &self,
        tenant: &Tenant,
        request: CreateCardRequest,
    ) -> Result<Card, Status> {
        let answer = self.api.create_card(tenant.ask(request)).await?;
        Ok(answer.into_inner().card.unwrap())
    }

    /// A card, without the External Lines field, which answers to changes do not hold.
    pub async fn get_card(&self, tenant: &Tenant, card: &str) -> Result<Card, Status> {
        let request = GetCardRequest {
            card_id: card.into(),
        };
        let answer = self.api.get_card(tenant.ask(request)).await?;
        let mut card = answer.into_inner().card.unwrap();
        card.external_lines.clear();
        Ok(card)
    }

    pub async fn update_card(
        &self,
        tenant: &Tenant,
        request: UpdateCardRequest,
    ) -> Result<Card, Status> {
        let answer = self.api.update_card(tenant.ask(request)).await?;
        Ok(answer.into_inner().card.unwrap())
    }

    pub async fn move_to(
        &self,
        tenant: &Tenant,
        card: &str,
        status: &CardStatus,
    ) -> Result<Card, Status> {
        let request = MoveCardRequest {
            card_id: card.into(),
            status_id: status.status_id.clone(),
            ..MoveCardRequest::default()
        };
        let answer = self.api.move_card(tenant.ask(request)).await?;
        Ok(answer.into_inner().card.unwrap())
    }

    pub async fn delete_card(&self, tenant: &Tenant, card: &str) -> Result<(), Status> {
        let request = DeleteCardRequest {
            card_id: card.into(),
            expected_revision: None,
        };
        self.api.delete_card(tenant.ask(request)).await.map(drop)
    }

    /// A custom field of cards.
    pub async fn field(
        &self,
        tenant: &Tenant,
        key: &str,
        kind: field::Type,
    ) -> Result<Field, Status> {
        let chosen = matches!(kind, field::Type::Select | field::Type::MultiSelect);
        let request = CreateFieldRequest {
            entity: field::Entity::Card.into(),
            key: key.into(),
            name: key.to_uppercase(),
            r#type: kind.into(),
            options: if chosen {
                vec!["red".into(), "green".into()]
            } else {
                Vec::new()
            },
            ..CreateFieldRequest::default()
        };
        let answer = self.api.create_field(tenant.ask(request)).await?;
        Ok(answer.into_inner().field.unwrap())
    }

    /// A custom field of another kind of entity.
    pub async fn field_of(
        &self,
        tenant: &Tenant,
        entity: field::Entity,
        key: &str,
        kind: field::Type,
    ) -> Field {
        let request = CreateFieldRequest {
            entity: entity.into(),
            key: key.into(),
            name: key.to_uppercase(),
            r#type: kind.into(),
            ..CreateFieldRequest::default()
        };
        let answer = self.api.create_field(tenant.ask(request)).await.unwrap();
        answer.into_inner().field.unwrap()
    }

    pub async fn new_contact(
        &self,
        tenant: &Tenant,
        request: CreateContactRequest,
    ) -> Result<Contact, Status> {
        let answer = self.api.create_contact(tenant.ask(request)).await?;
        Ok(answer.into_inner().contact.unwrap())
    }

    pub async fn update_contact(
        &self,
        tenant: &Tenant,
        request: UpdateContactRequest,
    ) -> Result<Contact, Status> {
        let answer = self.api.update_contact(tenant.ask(request)).await?;
        Ok(answer.into_inner().contact.unwrap())
    }

    pub async fn merge(
        &self,
        tenant: &Tenant,
        from: &Contact,
        into: &Contact,
    ) -> Result<Contact, Status> {
        let request = MergeContactsRequest {
            from_contact_id: from.contact_id.clone(),
            into_contact_id: into.contact_id.clone(),
            ..MergeContactsRequest::default()
        };
        let answer = self.api.merge_contacts(tenant.ask(request)).await?;
        Ok(answer.into_inner().contact.unwrap())
    }

    pub async fn new_company(
        &self,
        tenant: &Tenant,
        request: CreateCompanyRequest,
    ) -> Result<Company, Status> {
        let answer = self.api.create_company(tenant.ask(request)).await?;
        Ok(answer.into_inner().company.unwrap())
    }

    pub async fn update_company(
        &self,
        tenant: &Tenant,
        request: UpdateCompanyRequest,
    ) -> Result<Company, Status> {
        let answer = self.api.update_company(tenant.ask(request)).await?;
        Ok(answer.into_inner().company.unwrap())
    }

    /// The history of a card, newest first, as `kind by actor: field before -> after, ...`.
    pub async fn history(&self, tenant: &Tenant, card: &str) -> Vec<String> {
        let about = list_history_request::Entity::CardId(card.into());
        self.history_of(tenant, about, &[]).await
    }

    pub async fn history_of(
        &self,
        tenant: &Tenant,
        entity: list_history_request::Entity,
        kinds: &[history_entry::Kind],
    ) -> Vec<String> {
        let request = ListHistoryRequest {
            entity: Some(entity),
            kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
            ..ListHistoryRequest::default()
        };
        let answer = self.api.list_history(tenant.ask(request)).await.unwrap();
        let entries = answer.into_inner().entries.into_iter();
        entries
            .map(|entry| {
                let kind = entry.kind().as_str_name();
                let changes = testing::told(&switchboard_proto::operator::v1::AuditEntry {
                    changes: entry.changes,
                    ..Default::default()
                });
                let kind = kind.trim_start_matches("KIND_").to_lowercase();
                format!("{kind} by {}: {}", entry.actor, changes.join(", "))
            })
            .collect()
    }
}
