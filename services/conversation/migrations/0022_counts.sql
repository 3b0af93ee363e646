-- How many chats there are, of each channel, responsible and state. The zero id is nobody.
create table chat_count (
    account     text   not null,
    responsible uuid   not null,
    channel_id  uuid   not null,
    state       text   not null,
    chats       bigint not null,
    waiting     bigint not null,
    unread      bigint not null,
    primary key (account, responsible, channel_id, state)
);

-- What came and went since `chat_count` was last brought up to date. Writers only append: they neither wait for each other nor
-- in a circle. The counts are the sums of both.
create table chat_count_change (
    id          bigint generated always as identity primary key,
    account     text   not null,
    responsible uuid   not null,
    channel_id  uuid   not null,
    state       text   not null,
    chats       bigint not null,
    waiting     bigint not null,
    unread      bigint not null
);

create index chat_count_change_by_account on chat_count_change (account, responsible);

-- Kept by the database, so that no way of changing a chat is forgotten.
create function count_chats() returns trigger language plpgsql as $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    if tg_op = 'INSERT' then
        insert into chat_count_change (account, responsible, channel_id, state, chats, waiting, unread)
        select n.account, coalesce(n.responsible, nobody), n.channel_id, n.state, count(*),
               count(*) filter (where n.waiting and not n.spam), count(*) filter (where n.unread)
        from new_rows n
        group by 1, 2, 3, 4;
    elsif tg_op = 'DELETE' then
        insert into chat_count_change (account, responsible, channel_id, state, chats, waiting, unread)
        select o.account, coalesce(o.responsible, nobody), o.channel_id, o.state, -count(*),
               -count(*) filter (where o.waiting and not o.spam), -count(*) filter (where o.unread)
        from old_rows o
        group by 1, 2, 3, 4;
    else
        insert into chat_count_change (account, responsible, channel_id, state, chats, waiting, unread)
        select d.account, coalesce(d.responsible, nobody), d.channel_id, d.state, sum(d.chats), sum(d.waiting),
               sum(d.unread)
        from (select o.account, o.responsible, o.channel_id, o.state, -1 as chats,
                     -(o.waiting and not o.spam)::int as waiting, -o.unread::int as unread
              from old_rows o
              union all
              select n.account, n.responsible, n.channel_id, n.state, 1,
                     (n.waiting and not n.spam)::int, n.unread::int
              from new_rows n) d
        group by 1, 2, 3, 4
        having sum(d.chats) <> 0 or sum(d.waiting) <> 0 or sum(d.unread) <> 0;
    end if;
    return null;
end
$$;

-- Creating them keeps writers away until the numbers below are committed.
create trigger chat_counted_insert after insert on chat
    referencing new table as new_rows for each statement execute function count_chats();
create trigger chat_counted_update after update on chat
    referencing old table as old_rows new table as new_rows for each statement execute function count_chats();
create trigger chat_counted_delete after delete on chat
    referencing old table as old_rows for each statement execute function count_chats();

insert into chat_count (account, responsible, channel_id, state, chats, waiting, unread)
select account, coalesce(responsible, '00000000-0000-0000-0000-000000000000'), channel_id, state, count(*),
       count(*) filter (where waiting and not spam), count(*) filter (where unread)
from chat
group by 1, 2, 3, 4;
