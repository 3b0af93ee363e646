-- Open chats of each agent in each channel, for channels that limit them: counting them anew for every choice takes
-- longer the more chats are open.

create table channel_load (
    account    text not null,
    channel_id uuid not null,
    agent_id   uuid not null,
    load       integer not null,
    primary key (account, channel_id, agent_id)
);

-- Kept by the database, so that processes of the version before keep it, too, and no way of changing a chat is forgotten.
-- Writers of one row follow one another: they hold the lock of the agent's load or of the account. Agents that are not
-- known have no such lock; their rows are taken in order, so that nobody waits in a circle.
create function count_channel_load() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into channel_load as l (account, channel_id, agent_id, load)
        select n.account, n.channel_id, n.agent_id, count(*)
        from new_rows n where n.open and n.agent_id is not null
        group by n.account, n.channel_id, n.agent_id
        order by n.account, n.channel_id, n.agent_id
        on conflict (account, channel_id, agent_id) do update set load = l.load + excluded.load;
    else
        insert into channel_load as l (account, channel_id, agent_id, load)
        select d.account, d.channel_id, d.agent_id, sum(d.by)
        from (select o.account, o.channel_id, o.agent_id, -1 as by
              from old_rows o where o.open and o.agent_id is not null
              union all
              select n.account, n.channel_id, n.agent_id, 1
              from new_rows n where n.open and n.agent_id is not null) as d
        group by d.account, d.channel_id, d.agent_id
        having sum(d.by) <> 0
        order by d.account, d.channel_id, d.agent_id
        on conflict (account, channel_id, agent_id) do update set load = l.load + excluded.load;
    end if;
    return null;
end
$$;

-- Creating them keeps writers away until the numbers below are committed.
create trigger chat_assignment_counted_insert after insert on chat_assignment
    referencing new table as new_rows for each statement execute function count_channel_load();
create trigger chat_assignment_counted_update after update on chat_assignment
    referencing old table as old_rows new table as new_rows for each statement execute function count_channel_load();

insert into channel_load (account, channel_id, agent_id, load)
select account, channel_id, agent_id, count(*)
from chat_assignment where open and agent_id is not null
group by account, channel_id, agent_id;

-- Only the counting read it.
drop index chat_assignment_by_channel_agent;
