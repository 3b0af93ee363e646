-- Distribution by load, with weights, groups, a limit per channel, a pace for waiting chats, and offers that end.

-- The words are the domain's: a list here would have to be repeated with each new way.
alter table distribution_policy drop constraint distribution_policy_distribution_check;
alter table distribution_policy
    add constraint distribution_policy_distribution_check check (distribution ~ '^[a-z-]+$'),
    -- Open chats of the channel that distribution gives to one agent at most; 0 is no limit.
    add column channel_capacity integer not null default 0 check (channel_capacity >= 0),
    -- Waiting chats that one agent is given in a minute at most; 0 is no limit.
    add column waiting_per_minute integer not null default 30 check (waiting_per_minute >= 0),
    -- How long an agent has to take what distribution gave; 0 is for good.
    add column offer_seconds integer not null default 0 check (offer_seconds >= 0),
    -- What the agent of the last turn had spent before it.
    add column floor bigint not null default 0,
    -- Agent id -> what that agent has spent on turns.
    add column spent jsonb not null default '{}';

-- Who takes part. `distribution_policy.agent_ids` is still written, for processes of the version before; they do not
-- know groups and weights.
create table pool_entry (
    account    text not null,
    channel_id uuid not null,
    place      integer not null,
    agent_id   uuid,
    group_id   uuid,
    weight     integer not null check (weight between 1 and 100),
    primary key (account, channel_id, place),
    foreign key (account, channel_id) references distribution_policy on delete cascade,
    foreign key (account, agent_id) references agent,
    -- A group in use cannot be deleted.
    foreign key (account, group_id) references staff_group,
    check (num_nonnulls(agent_id, group_id) = 1)
);

create index pool_entry_by_group on pool_entry (account, group_id) where group_id is not null;
create index pool_entry_by_agent on pool_entry (account, agent_id) where agent_id is not null;

insert into pool_entry (account, channel_id, place, agent_id, weight)
select p.account, p.channel_id, member.place, member.agent_id, 1
from distribution_policy p
cross join lateral unnest(p.agent_ids) with ordinality as member(agent_id, place);

-- Waiting chats given to an agent since then; counted anew after a minute.
alter table agent_load
    add column drained integer not null default 0,
    add column drained_since timestamptz;

-- Until when the responsible has to take the chat, and who let it pass in this conversation.
alter table chat_assignment
    add column offer_end timestamptz,
    add column passed uuid[] not null default '{}';

create index chat_assignment_offers on chat_assignment (offer_end) where offer_end is not null;

-- Open chats of a channel by agent: counted where the channel's capacity is limited.
create index chat_assignment_by_channel_agent on chat_assignment (account, channel_id, agent_id)
    where open and agent_id is not null;

-- What a choice looked at, where that was many: choices made one after another look at nearly the same, so each keeps
-- only what differs from the look. The id is a digest of the content: the same look is kept once.
create table assignment_look (
    look_id    uuid primary key,
    account    text not null,
    candidates jsonb not null
);

alter table assignment_choice add column look_id uuid references assignment_look;
