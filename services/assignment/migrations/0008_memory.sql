-- What a choice needs is remembered between transactions; these columns tell what has changed since.

-- The transaction that wrote the row last. A reader that remembers the oldest transaction of its last look reads rows of
-- that one and later ones again: whatever was committed since is among them.
create function stamp_changed() returns trigger language plpgsql as $$
begin
    new.changed := pg_current_xact_id()::text::bigint;
    return new;
end
$$;

alter table agent add column changed bigint not null default 0;
alter table agent_load add column changed bigint not null default 0;
alter table calendar add column changed bigint not null default 0;

create trigger agent_changed before insert or update on agent
    for each row execute function stamp_changed();
create trigger agent_load_changed before insert or update on agent_load
    for each row execute function stamp_changed();
create trigger calendar_changed before insert or update on calendar
    for each row execute function stamp_changed();

-- A calendar that is gone leaves no row to be stamped: its agent is.
create function stamp_agent_of_calendar() returns trigger language plpgsql as $$
begin
    update agent set changed = 0 where account = old.account and agent_id = old.owner_id;
    return null;
end
$$;
create trigger calendar_gone after delete on calendar
    for each row when (old.owner = 'agent') execute function stamp_agent_of_calendar();

create index agent_by_changed on agent (account, changed);
create index agent_load_by_changed on agent_load (account, changed);
create index calendar_by_changed on calendar (account, changed) where owner = 'agent';

-- Turns as rows: a choice writes the one that was taken instead of all. `distribution_policy.last_turns` and `spent`
-- are read by processes of the version before only; turns they take during an upgrade are not known to this one, so
-- that a round may be uneven once.
create table channel_turn (
    account    text not null,
    channel_id uuid not null,
    agent_id   uuid not null,
    -- The number of the agent's last turn; numbers of a channel are given once each.
    number     bigint not null,
    -- What the agent has spent with it.
    spent      bigint not null,
    primary key (account, channel_id, agent_id),
    foreign key (account, channel_id) references distribution_policy on delete cascade
);

create index channel_turn_by_number on channel_turn (account, channel_id, number);

insert into channel_turn (account, channel_id, agent_id, number, spent)
select p.account, p.channel_id, last.key::uuid, last.value::bigint, coalesce((p.spent ->> last.key)::bigint, 0)
from distribution_policy p
cross join lateral jsonb_each_text(p.last_turns) as last;

-- Raised whenever the policy is set, so that its pool is read again.
alter table distribution_policy add column revision bigint not null default 0;
