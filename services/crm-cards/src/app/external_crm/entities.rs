//! What cards, contacts and companies have in common where their responsible is set from outside.

use std::collections::HashMap;
use std::hash::Hash;

use chassis::actor::Actor;
use chassis::id::AccountSlug;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::LinkedEntity;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::history;
use crate::domain::entity::{Card, Company, Contact};
use crate::domain::external::Held;
use crate::domain::ids::ChatId;
use crate::store::history::NewEntry;
use crate::store::{card_changes, cards, companies, contact_changes, contacts};
use crate::wire;

/// An entity with a responsible.
pub(super) trait Entity: Clone {
    /// Its id.
    fn id(&self) -> Uuid;
    /// Who answers for it.
    fn held(&self) -> Held;
    /// Gives it this responsible; a value that is in place already is no change of the entity.
    fn take(&mut self, held: Held, now: OffsetDateTime);
    /// It, as what a chat is linked to.
    fn linked(&self) -> LinkedEntity;
    /// Tells that it was changed.
    fn updated(&self, account: &AccountSlug) -> Outgoing;
    /// What its history keeps of the change.
    fn entries(
        &self,
        account: &AccountSlug,
        actor: &Actor,
        before: &Self,
    ) -> Result<Vec<NewEntry>, sqlx::Error>;
    /// Writes responsibles and stamps of locked ones.
    async fn write(
        connection: &mut PgConnection,
        changed: &[(AccountSlug, Self)],
    ) -> Result<(), sqlx::Error>;
    /// All chats that they are linked to.
    async fn chats(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &[Self],
    ) -> Result<HashMap<Uuid, Vec<ChatId>>, sqlx::Error>;
    /// Reads what events tell of them beside what was locked.
    async fn complete(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &mut [Self],
    ) -> Result<(), sqlx::Error>;
}

/// Rows by what they are called within the account.
fn by_id<I: Into<Uuid> + Eq + Hash, V>(rows: HashMap<(AccountSlug, I), V>) -> HashMap<Uuid, V> {
    let rows = rows.into_iter();
    rows.map(|((_, id), row)| (id.into(), row)).collect()
}

fn keys<I: From<Uuid>>(
    account: &AccountSlug,
    ids: impl IntoIterator<Item = Uuid>,
) -> Vec<(AccountSlug, I)> {
    let ids = ids.into_iter();
    ids.map(|id| (account.clone(), id.into())).collect()
}

/// Locks cards that are there.
pub(super) async fn lock_cards(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: Vec<Uuid>,
) -> Result<HashMap<Uuid, Card>, sqlx::Error> {
    Ok(by_id(cards::lock(connection, &keys(account, ids)).await?))
}

/// Locks companies that are there.
pub(super) async fn lock_companies(
    connection: &mut PgConnection,
    account: &AccountSlug,
    ids: Vec<Uuid>,
) -> Result<HashMap<Uuid, Company>, sqlx::Error> {
    let locked = companies::lock_all(connection, &keys(account, ids)).await?;
    Ok(by_id(locked))
}

impl Entity for Card {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn held(&self) -> Held {
        Held {
            agent: self.responsible,
            stamp: self.stamp,
        }
    }

    fn take(&mut self, held: Held, now: OffsetDateTime) {
        self.stamp = held.stamp;
        if self.responsible != held.agent {
            self.responsible = held.agent;
            self.updated_at = now;
            self.revision += 1;
        }
    }

    fn linked(&self) -> LinkedEntity {
        wire::linked_card(self)
    }

    fn updated(&self, account: &AccountSlug) -> Outgoing {
        let updated = wire_v1::CardUpdated {
            card: Some(wire::card(self)),
            note: None,
        };
        Outgoing::new(account, self.id, &updated)
    }

    fn entries(
        &self,
        account: &AccountSlug,
        actor: &Actor,
        before: &Self,
    ) -> Result<Vec<NewEntry>, sqlx::Error> {
        history::card(account, actor, (Some(before), Some(self)))
    }

    async fn write(
        connection: &mut PgConnection,
        changed: &[(AccountSlug, Self)],
    ) -> Result<(), sqlx::Error> {
        card_changes::set_responsibles(connection, changed).await
    }

    async fn chats(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &[Self],
    ) -> Result<HashMap<Uuid, Vec<ChatId>>, sqlx::Error> {
        let keys = keys(account, entities.iter().map(Entity::id));
        Ok(by_id(cards::chats_of(connection, &keys).await?))
    }

    async fn complete(
        _: &mut PgConnection,
        _: &AccountSlug,
        _: &mut [Self],
    ) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Entity for Contact {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn held(&self) -> Held {
        Held {
            agent: self.responsible,
            stamp: self.stamp,
        }
    }

    fn take(&mut self, held: Held, _: OffsetDateTime) {
        self.stamp = held.stamp;
        if self.responsible != held.agent {
            self.responsible = held.agent;
            self.revision += 1;
        }
    }

    fn linked(&self) -> LinkedEntity {
        wire::linked_contact(self)
    }

    fn updated(&self, account: &AccountSlug) -> Outgoing {
        let updated = wire_v1::ContactUpdated {
            contact: Some(wire::contact(self)),
        };
        Outgoing::new(account, self.id, &updated)
    }

    fn entries(
        &self,
        account: &AccountSlug,
        actor: &Actor,
        before: &Self,
    ) -> Result<Vec<NewEntry>, sqlx::Error> {
        history::contact(account, actor, (Some(before), Some(self)))
    }

    async fn write(
        connection: &mut PgConnection,
        changed: &[(AccountSlug, Self)],
    ) -> Result<(), sqlx::Error> {
        contact_changes::set_responsibles(connection, changed).await
    }

    async fn chats(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &[Self],
    ) -> Result<HashMap<Uuid, Vec<ChatId>>, sqlx::Error> {
        let keys = keys(account, entities.iter().map(Entity::id));
        Ok(by_id(contacts::chats_of(connection, &keys).await?))
    }

    async fn complete(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &mut [Self],
    ) -> Result<(), sqlx::Error> {
        let keys = keys(account, entities.iter().map(Entity::id));
        let mut identities = by_id(contacts::identities_of(connection, &keys).await?);
        for contact in entities {
            contact.identities = identities.remove(&contact.id()).unwrap_or_default();
        }
        Ok(())
    }
}

impl Entity for Company {
    fn id(&self) -> Uuid {
        self.id.uuid()
    }

    fn held(&self) -> Held {
        Held {
            agent: self.responsible,
            stamp: self.stamp,
        }
    }

    fn take(&mut self, held: Held, _: OffsetDateTime) {
        self.stamp = held.stamp;
        if self.responsible != held.agent {
            self.responsible = held.agent;
            self.revision += 1;
        }
    }

    fn linked(&self) -> LinkedEntity {
        wire::linked_company(self)
    }

    fn updated(&self, account: &AccountSlug) -> Outgoing {
        let updated = wire_v1::CompanyUpdated {
            company: Some(wire::company(self)),
        };
        Outgoing::new(account, self.id, &updated)
    }

    fn entries(
        &self,
        account: &AccountSlug,
        actor: &Actor,
        before: &Self,
    ) -> Result<Vec<NewEntry>, sqlx::Error> {
        history::company(account, actor, (Some(before), Some(self)))
    }

    async fn write(
        connection: &mut PgConnection,
        changed: &[(AccountSlug, Self)],
    ) -> Result<(), sqlx::Error> {
        companies::set_responsibles(connection, changed).await
    }

    async fn chats(
        connection: &mut PgConnection,
        account: &AccountSlug,
        entities: &[Self],
    ) -> Result<HashMap<Uuid, Vec<ChatId>>, sqlx::Error> {
        let keys = keys(account, entities.iter().map(Entity::id));
        Ok(by_id(companies::chats_of(connection, &keys).await?))
    }

    async fn complete(
        _: &mut PgConnection,
        _: &AccountSlug,
        _: &mut [Self],
    ) -> Result<(), sqlx::Error> {
        Ok(())
    }
}
