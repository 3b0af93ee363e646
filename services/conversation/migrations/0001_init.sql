-- A person outside, as one channel's provider knows them. The id is made of account, scope and user id.
create table client (
    client_id    uuid primary key,
    account      text not null check (account <> ''),
    scope        text not null,
    user_id      text not null check (user_id <> ''),
    name         text not null,
    username     text not null,
    phone        text not null,
    email        text not null,
    language     text not null,
    -- The provider's time of the profile above: an older one never replaces it.
    profile_time timestamptz not null,
    created_at   timestamptz not null
) with (fillfactor = 80);

-- The thread between one client and one channel, with its newest conversation beside it: the row is the lock
-- under which all of a chat changes, and what is decided under it must not be read from a second table, which a
-- waiting `for update` would show as it was before.
create table chat (
    chat_id                uuid primary key,
    account                text not null check (account <> ''),
    channel_id             uuid not null,
    channel_kind           text not null
        check (channel_kind in ('telegram-bot', 'viber-bot', 'instagram', 'email', 'unknown')),
    chat_key               text not null check (chat_key <> ''),
    client_id              uuid not null references client,
    state                  text not null check (state in ('unassigned', 'active', 'inactive')),
    spam                   boolean not null default false,
    -- Copy of the responsible, and the number of the conversation it was made for.
    responsible            uuid,
    assignment_number      bigint not null default 0,
    -- The newest conversation; none before the first.
    conversation_id        uuid,
    number                 bigint not null default 0,
    revision               bigint not null default 0,
    opened_at              timestamptz,
    closed_at              timestamptz,
    opener_agent           uuid,
    start_payload          text not null default '',
    -- Number of the last stored message, and of the last command to the provider.
    sequence               bigint not null default 0,
    out_seq                bigint not null default 0,
    -- Client messages stored after `answered_sequence`, the newest agent message that was sent (F071).
    unanswered             integer not null default 0 check (unanswered >= 0),
    answered_sequence      bigint not null default 0,
    last_client_message_at timestamptz not null,
    preview_message_id     uuid,
    preview_kind           text not null default 'client',
    preview_text           text not null default '',
    preview_time           timestamptz,
    created_at             timestamptz not null,
    unique (channel_id, chat_key),
    check ((state = 'inactive') = (conversation_id is null or closed_at is not null)),
    check ((conversation_id is null) = (number = 0))
) with (fillfactor = 70);

-- The lists of chats (D07): of an account, of a channel, of one responsible (F078), of nobody, of who waits (F071).
create index chat_by_last_client_message on chat (account, last_client_message_at desc, chat_id desc);
create index chat_by_channel on chat (account, channel_id, last_client_message_at desc, chat_id desc);
create index chat_by_responsible on chat (account, responsible, last_client_message_at desc, chat_id desc);
create index chat_of_nobody on chat (account, last_client_message_at desc, chat_id desc) where responsible is null;
create index chat_unanswered on chat (account, last_client_message_at desc, chat_id desc) where unanswered > 0;

-- One opened-to-closed episode of a chat.
create table conversation (
    conversation_id uuid primary key,
    account         text not null check (account <> ''),
    chat_id         uuid not null references chat,
    number          bigint not null check (number > 0),
    revision        bigint not null check (revision > 0),
    reason          text not null check (reason in ('client-message', 'agent-message', 'agent-start')),
    opener_agent    uuid,
    start_payload   text not null,
    opened_at       timestamptz not null,
    closed_at       timestamptz,
    closed_by       text,
    unique (account, number)
) with (fillfactor = 90);

create unique index conversation_open on conversation (chat_id) where closed_at is null;
create index conversation_by_chat on conversation (chat_id, number desc);

-- The last conversation number of an account (F200, D20): raised in the transaction that opens.
create table account_number (
    account text primary key check (account <> ''),
    last    bigint not null check (last > 0)
) with (fillfactor = 50);

create table message (
    message_id      uuid primary key,
    account         text not null check (account <> ''),
    chat_id         uuid not null,
    channel_id      uuid not null,
    conversation_id uuid,
    kind            text not null check (kind in ('client', 'agent', 'bot', 'system', 'note')),
    agent_id        uuid,
    -- Encoded switchboard.conversation.v1.Message of which parts, reply, origin and system are set.
    body            bytea not null,
    provider_key    text not null,
    provider_number bigint not null,
    time            timestamptz not null,
    sequence        bigint not null check (sequence > 0),
    -- Provider's time and event key of the newest edit that was applied.
    edited_at       timestamptz,
    edit_key        text not null default '',
    deleted_at      timestamptz,
    -- Reactions by actor: {"client:…": {"time": …, "key": …, "emojis": […]}}.
    reactions       jsonb not null default '{}',
    -- Delivery of an agent's message: the sum of the parts of its newest attempt.
    delivery        text check (delivery in
        ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'uncertain', 'cancelled')),
    out_seq         bigint not null default 0,
    attempt         integer not null default 0,
    failure_reason  text not null default '',
    failure_detail  text not null default '',
    retryable       boolean not null default false,
    delivery_at     timestamptz,
    created_at      timestamptz not null,
    unique (chat_id, sequence)
) with (fillfactor = 90);

create index message_history on message (chat_id, time desc, provider_number desc, sequence desc);
-- What makes a repeat a repeat, for as long as the message is kept (X01, B01).
create unique index message_by_provider_key on message (channel_id, provider_key) where kind = 'client';

-- One part of one attempt to send a message (B03).
create table message_part (
    message_id   uuid not null,
    attempt      integer not null,
    part         integer not null,
    parts        integer not null,
    channel_id   uuid not null,
    state        text not null check (state in
        ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'uncertain', 'cancelled')),
    provider_key text not null,
    reason       text not null,
    detail       text not null,
    retryable    boolean not null,
    time         timestamptz not null,
    primary key (message_id, attempt, part)
) with (fillfactor = 80);

-- Replies and reactions of clients name our messages by the provider's key.
create index message_part_by_provider_key on message_part (channel_id, provider_key) where provider_key <> '';

-- Every command to a provider, for a gateway that missed some.
create table outbound_command (
    chat_id    uuid not null,
    out_seq    bigint not null check (out_seq > 0),
    account    text not null,
    -- Encoded switchboard.conversation.v1.OutboundCommand.
    command    bytea not null,
    created_at timestamptz not null,
    primary key (chat_id, out_seq)
);

-- Copy of assignment's answer to who is responsible; of a chat that is not known yet, too.
create table chat_assignment (
    chat_id      uuid primary key,
    account      text not null check (account <> ''),
    number       bigint not null,
    responsible  uuid,
    participants uuid[] not null,
    version      bigint not null
) with (fillfactor = 80);

-- What overtook its message: the newest edit, reaction and deletion of each provider key.
create table parked (
    channel_id    uuid not null,
    provider_key  text not null,
    kind          text not null check (kind in ('edit', 'deletion', 'reaction')),
    account       text not null check (account <> ''),
    provider_time timestamptz not null,
    event_key     text not null,
    -- Encoded switchboard.channel_gateway.v1.InboundEvent without its raw item.
    item          bytea not null,
    item_id       uuid not null,
    traceparent   text not null,
    parked_at     timestamptz not null,
    primary key (channel_id, provider_key, kind)
);

create index parked_by_age on parked (parked_at) where kind <> 'deletion';

-- A channel's rule about opening: a client who writes within so many minutes of the end continues (0: never).
create table channel_rule (
    channel_id       uuid primary key,
    account          text not null check (account <> ''),
    continue_minutes integer not null check (continue_minutes between 0 and 100000)
);
