-- A connected line. `token_sealed` and `secret_sealed` open only with the service's key and this row's id.
create table channel (
    id               uuid primary key,
    account          text not null check (account <> ''),
    kind             text not null check (kind in ('telegram-bot')),
    name             text not null check (name <> ''),
    state            text not null check (state in ('disabled', 'enabled', 'disconnected')),
    -- The provider's own id of the line (of a bot: what stands before the colon of its token).
    provider_account text not null,
    provider_name    text not null default '',
    problem          text not null default '',
    token_sealed     bytea not null,
    secret_sealed    bytea not null,
    -- Counts changes of credentials: a refusal of older ones says nothing of the newer.
    credentials      bigint not null default 1,
    created_at       timestamptz not null,
    -- By the database's clock: replicas read what has changed since they last looked.
    changed_at       timestamptz not null default now(),
    last_inbound_at  timestamptz,
    last_outbound_at timestamptz
);

-- One token has one webhook: the same bot on two channels would take turns in losing messages.
create unique index channel_provider_account on channel (kind, provider_account);
create index channel_by_name on channel (account, name, id);
create index channel_by_change on channel (changed_at);

-- What is known of a client's reachability through a channel. The newest provider time wins.
create table channel_client (
    channel_id   uuid not null,
    chat_key     text not null,
    account      text not null,
    blocked      boolean not null,
    blocked_time timestamptz not null,
    primary key (channel_id, chat_key)
);

-- A chat's lane: its commands go one after the other, from whichever replica holds the lease.
create table lane (
    chat_id     uuid primary key,
    account     text not null check (account <> ''),
    channel_id  uuid not null,
    -- The provider's key of the chat; a group that becomes a supergroup gets another one.
    chat_key    text not null,
    -- Number of the first command that is not known to be final.
    next_seq    bigint not null default 1 check (next_seq > 0),
    -- When to look at the lane; null: nothing to do.
    due_at      timestamptz,
    -- Since when a command is missing while later ones are here.
    gap_since   timestamptz,
    lease_until timestamptz,
    fence       bigint not null default 0,
    -- The provider asked to wait, or was out of order: nothing goes before this.
    paused_until timestamptz not null default 'epoch',
    -- When the chat's token bucket is full again.
    rate_full   timestamptz not null default 'epoch'
) with (fillfactor = 80);

create index lane_due on lane (due_at) where due_at is not null;

-- A command to the provider. Whatever its outcome, it keeps its number.
create table command (
    chat_id    uuid not null,
    out_seq    bigint not null check (out_seq > 0),
    message_id uuid not null,
    attempt    integer not null,
    parts      integer not null check (parts > 0),
    is_final   boolean not null default false,
    queued_at  timestamptz not null,
    -- The event that brought it, and its trace.
    cause      uuid,
    trace      text not null default '',
    primary key (chat_id, out_seq)
) with (fillfactor = 80);

-- A part of a command: one call to the provider.
create table part (
    chat_id       uuid not null,
    out_seq       bigint not null,
    part          integer not null check (part >= 0),
    state         text not null
                  check (state in ('queued', 'sending', 'sent', 'failed', 'uncertain', 'cancelled')),
    method        text not null,
    params        jsonb not null,
    -- Calls that did not reach the provider, or that it asked to repeat later.
    tries         integer not null default 0,
    -- The lease under which the last attempt was recorded.
    attempt_fence bigint,
    provider_key  text not null default '',
    reason        text not null default '',
    updated_at    timestamptz not null,
    primary key (chat_id, out_seq, part)
) with (fillfactor = 80);

create index part_sending on part (chat_id) where state = 'sending';
create index part_queued on part (updated_at) where state = 'queued';

-- Commands that were taken back before they arrived.
create table cancelled_command (
    chat_id      uuid not null,
    out_seq      bigint not null,
    cancelled_at timestamptz not null,
    primary key (chat_id, out_seq)
);

-- What a channel may still send, shared by all replicas.
create table channel_rate (
    channel_id uuid primary key,
    -- When the channel's token bucket is full again.
    rate_full  timestamptz not null default 'epoch',
    -- The provider asked the whole channel to wait.
    paused_until timestamptz not null default 'epoch',
    -- The last refusal for flooding.
    flooded_at timestamptz not null default 'epoch'
) with (fillfactor = 50);
