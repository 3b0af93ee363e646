-- What happened in the account (F214, F215): one row for each event that changed the state of something, whoever told it.
-- Messages and deliveries are not here: they have tables of their own.
create table activity (
    account         text not null check (account <> ''),
    -- `ce-id`: a repeat is known by it.
    event_id        uuid not null,
    -- `entity.event`.
    type            text not null,
    time            timestamptz not null,
    -- As in `ce-sbactor`; empty where nobody did it.
    actor           text not null,
    actor_kind      text not null generated always as (split_part(actor, ':', 1)) stored,
    -- Listed only where it is asked for (F194).
    key_action      boolean not null,
    chat_id         uuid,
    channel_id      uuid,
    conversation_id uuid,
    number          bigint not null,
    -- What it happened to beside the chat; '' where it is of the chat alone. It decides on who may see it.
    entity_kind     text not null check (entity_kind in ('', 'card', 'contact', 'company', 'order', 'channel')),
    entity_id       uuid,
    -- The entity whose responsible sees it with rights over own ones: an order's buyer, else the entity itself.
    owner_id        uuid,
    parameters      jsonb not null,
    primary key (account, event_id)
);

create index activity_newest on activity (account, key_action, time desc, event_id desc);
create index activity_by_type on activity (account, type, time desc, event_id desc);
create index activity_by_actor on activity (account, actor, time desc, event_id desc);
create index activity_by_actor_kind on activity (account, actor_kind, time desc, event_id desc);
create index activity_of_chat on activity (account, chat_id, time desc, event_id desc) where chat_id is not null;
create index activity_of_entity on activity (account, entity_id, time desc, event_id desc) where entity_id is not null;
-- By day, for the sweep: an index by time would be taken for lists, too, which would then look through all accounts.
create index activity_by_age on activity (((time at time zone 'UTC')::date));

-- Who answers for an entity of CRM, as its newest stamp says: whoever sees own ones alone sees what happened to these.
create table activity_owner (
    account     text not null check (account <> ''),
    entity_id   uuid not null,
    responsible uuid,
    stamp_time  timestamptz not null,
    stamp_event uuid not null,
    primary key (account, entity_id)
) with (fillfactor = 80);
