-- Working hours, and where an agent's presence comes from.

-- Raised with every change of a calendar, also over its deletion: an owner's highest revision is the newest.
create sequence calendar_revision;

create table calendar (
    account     text not null references account,
    owner       text not null check (owner in ('account', 'agent', 'channel')),
    -- The agent or the channel; nil for the account.
    owner_id    uuid not null,
    definition  jsonb not null,
    -- While it is closed, chats of channels that go by it wait.
    holds_chats boolean not null,
    revision    bigint not null,
    updated_at  timestamptz not null,
    -- What follows from the definition, so that a distribution need not read it: whether it is working time, and
    -- when that is to be looked at again.
    open        boolean not null,
    next_look   timestamptz not null,
    primary key (account, owner, owner_id)
);

create index calendar_next_look on calendar (next_look);

-- `presence` is what follows from all that has a say; these tell from which of them.
alter table agent
    add column presence_source text not null default 'none'
        check (presence_source in ('none', 'hand', 'calendar', 'stream')),
    add column presence_reason text not null default '',
    add column presence_end timestamptz;

-- What has a say in an agent's presence. An agent without a row was never touched by a hand and follows nothing.
create table agent_availability (
    account          text not null,
    agent_id         uuid not null,
    -- By hand, for good.
    standing         text check (standing in ('online', 'away', 'offline')),
    standing_reason  text not null default '',
    -- By hand, until then.
    until            text check (until in ('online', 'away', 'offline')),
    until_reason     text not null default '',
    until_end        timestamptz check ((until_end is null) = (until is null)),
    follows_calendar boolean not null default false,
    follows_streams  boolean not null default false,
    -- Becoming away gives open chats back.
    away_gives_back  boolean not null default false,
    -- Open chats are still to be given back.
    giving_back      boolean not null default false,
    primary key (account, agent_id),
    foreign key (account, agent_id) references agent
);

create index agent_availability_until on agent_availability (until_end) where until_end is not null;
create index agent_availability_follows on agent_availability (account, agent_id)
    where follows_calendar or follows_streams;
create index agent_availability_giving_back on agent_availability (account, agent_id) where giving_back;

-- Presence was set by hand so far.
update agent set presence_source = 'hand' where presence <> 'offline';
insert into agent_availability (account, agent_id, standing)
select account, agent_id, presence from agent where presence <> 'offline';

-- An open stream of an agent, renewed by the replica that holds it: when that dies, the lease runs out.
create table presence_lease (
    stream_id  uuid primary key,
    account    text not null,
    agent_id   uuid not null,
    expires_at timestamptz not null,
    foreign key (account, agent_id) references agent
);

create index presence_lease_of_agent on presence_lease (account, agent_id, expires_at);
create index presence_lease_expiry on presence_lease (expires_at);

-- Open chats of an agent.
create index if not exists chat_assignment_by_agent on chat_assignment (account, agent_id)
    where open and agent_id is not null;
