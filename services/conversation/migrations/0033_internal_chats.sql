-- Internal chats of CRM's entities (F180 to F184): what agents write each other there. None of it is a message of a chat, so that
-- nothing ever brings it to a client.
create table internal_message (
    account     text        not null check (account <> ''),
    -- UUIDv7: they are listed by it.
    message_id  uuid        not null,
    entity_kind text        not null check (entity_kind in ('card', 'contact', 'company', 'order')),
    entity_id   uuid        not null,
    -- The entity whose responsible sees it with rights over own ones, as in `activity`.
    owner_id    uuid        not null,
    -- As in `ce-sbactor`.
    author      text        not null check (author <> ''),
    -- As in the contract's Text.
    body        bytea       not null,
    agent_ids   uuid[]      not null,
    group_ids   uuid[]      not null,
    created_at  timestamptz not null,
    primary key (account, message_id)
);

create index internal_message_of_entity on internal_message (account, entity_id, message_id desc);

-- How often something became of an agent's notifications. Whoever changes them raises it first: its row is the lock, so that what a
-- reader finds under a number is all that there is up to it.
create table internal_notified (
    account  text   not null,
    agent_id uuid   not null,
    version  bigint not null,
    primary key (account, agent_id)
);

-- Who was notified of which message (F182).
create table internal_notification (
    account    text        not null,
    agent_id   uuid        not null,
    message_id uuid        not null,
    -- The agent's number when it came, or was marked last.
    version    bigint      not null,
    read       boolean     not null default false,
    created_at timestamptz not null,
    primary key (account, agent_id, message_id)
);

create index internal_notification_by_version on internal_notification (account, agent_id, version, message_id);
create index internal_notification_unread on internal_notification (account, agent_id, message_id desc) where not read;
create index internal_notification_by_age on internal_notification (created_at);
