-- Responsibles kept in step between chats and CRM (architecture §8).

-- What a channel keeps in step: kinds of entities.
create table responsible_sync (
    account    text        not null references account,
    channel_id uuid        not null,
    from_crm   text[]      not null,
    to_crm     text[]      not null,
    revision   bigint      not null,
    updated_at timestamptz not null,
    primary key (account, channel_id)
);

-- Additional fields in a contact, by which chats and entities find each other, are allowed (F037).
alter table account add column contact_fields boolean not null default true;

-- The responsibles of entities as CRM told them last, of accounts that keep some in step. A change may be heard of before the
-- chat it concerns, or before an opening that was decided with an older one: the highest stamp counts.
create table entity_responsible (
    account     text        not null,
    entity_id   uuid        not null,
    agent_id    uuid,
    stamp_time  timestamptz not null,
    stamp_event uuid        not null,
    kept_at     timestamptz not null,
    primary key (account, entity_id)
);

create index entity_responsible_by_age on entity_responsible (kept_at);
