-- Accounts, agents and what they are granted, distribution, and who answers for a chat.

create table account (
    slug       text primary key check (slug ~ '^[a-z0-9-]{1,40}$'),
    name       text not null,
    language   text not null check (language in ('en', 'uk')),
    suspended  boolean not null default false,
    created_at timestamptz not null
);

-- An agent's id may be the identity provider's: it is unique within its account only.
create table agent (
    account         text not null references account,
    agent_id        uuid not null,
    name            text not null,
    active          boolean not null,
    presence        text not null check (presence in ('online', 'away', 'offline')),
    -- Open chats that distribution may give at most; 0 is no limit.
    capacity        integer not null check (capacity >= 0),
    all_channels    boolean not null,
    channel_ids     uuid[] not null,
    leads_create    boolean not null,
    leads_view      text not null check (leads_view in ('none', 'own', 'all')),
    contacts_create boolean not null,
    contacts_view   text not null check (contacts_view in ('none', 'own', 'all')),
    settings        boolean not null,
    -- Raised whenever the evaluated access changes; copies keep the highest.
    access_version  bigint not null,
    created_at      timestamptz not null,
    primary key (account, agent_id)
);

create index agent_by_name on agent (account, name, agent_id);

-- Open chats of an agent, changed in the transaction that changes the assignment. Its row is the lock
-- that keeps distribution under the capacity; apart from `agent`, so that a change of name waits for nobody.
create table agent_load (
    account  text not null,
    agent_id uuid not null,
    load     integer not null check (load >= 0),
    primary key (account, agent_id),
    foreign key (account, agent_id) references agent
);

-- How chats of a channel are distributed, and whose turn it is. The row is the channel's cursor: whoever
-- distributes holds its lock, so that turns are taken one after another over all replicas.
create table distribution_policy (
    account       text not null,
    channel_id    uuid not null,
    distribution  text not null check (distribution in ('off', 'round-robin')),
    agent_ids     uuid[] not null,
    keep_previous boolean not null,
    -- The number of the last turn taken.
    turn          bigint not null default 0,
    -- Agent id -> number of that agent's last turn.
    last_turns    jsonb not null default '{}',
    primary key (account, channel_id)
);

-- Who answers for a chat, and the chat's state at the highest (number, revision) that was heard of.
create table chat_assignment (
    chat_id           uuid primary key,
    account           text not null,
    channel_id        uuid not null,
    conversation_id   uuid not null,
    number            bigint not null,
    revision          bigint not null,
    open              boolean not null,
    -- Of the conversation with that number: unknown until `opened` or `decided` has come.
    open_time         timestamptz,
    opened_event      uuid,
    opener_agent_id   uuid,
    -- `connection.decided` has come for that conversation.
    decided           boolean not null,
    -- The decision did not come in time: the rules run without it (architecture §4).
    provisional       boolean not null,
    agent_id          uuid,
    -- Who answered for the chat in the conversation before.
    previous_agent_id uuid,
    stamp_time        timestamptz not null,
    stamp_event       uuid not null,
    version           bigint not null,
    -- Set while the chat waits for somebody to become eligible: since when, oldest first.
    waiting_since     timestamptz,
    -- Why nobody could be chosen, so that the same reasons are kept once.
    waiting_reasons   text not null,
    -- Request id of the act that made the responsible, so that a repeat gets the same answer.
    claim_request     text not null,
    -- Trace of the opening, for what is chosen later than at once.
    traceparent       text not null default ''
);

create index chat_assignment_by_account on chat_assignment (account, chat_id);
create index chat_assignment_waiting on chat_assignment (account, channel_id, waiting_since, chat_id)
    where waiting_since is not null;

-- Agents who have joined a chat beside its responsible.
create table chat_participant (
    chat_id   uuid not null references chat_assignment,
    agent_id  uuid not null,
    joined_at timestamptz not null,
    primary key (chat_id, agent_id)
);

-- One row per conversation; `opened` or `decided`, whichever comes first, makes it.
create table conversation (
    conversation_id uuid primary key,
    account         text not null,
    chat_id         uuid not null,
    channel_id      uuid not null,
    number          bigint not null,
    open_time       timestamptz not null,
    opener_agent_id uuid,
    opened_event    uuid,
    decided_event   uuid,
    stored_at       timestamptz not null
);

create index conversation_undecided on conversation (stored_at) where decided_event is null;

-- Every choice as it was made (D22, B06).
create table assignment_choice (
    choice_id       bigint generated always as identity primary key,
    account         text not null,
    chat_id         uuid not null,
    conversation_id uuid not null,
    number          bigint not null,
    time            timestamptz not null,
    rule            text not null check (rule in
        ('opener', 'crm', 'previous', 'distribution', 'claim', 'first-reply', 'hand', 'none')),
    agent_id        uuid,
    actor           text not null,
    -- [{"agent": uuid, "load": n, "left_out": "REASON" | null}]
    candidates      jsonb not null
);

create index assignment_choice_by_chat on assignment_choice (account, chat_id, choice_id desc);
