-- What else a channel's rule says: how long clients may wait for an answer (F211, B16; seconds, 0 for ever), and what they are
-- answered by itself (B15). One account's rule of a channel that is another's must not stand in that one's way.
alter table channel_rule
    drop constraint channel_rule_pkey,
    add primary key (account, channel_id),
    add column first_seconds integer not null default 0 check (first_seconds between 0 and 2592000),
    add column next_seconds integer not null default 0 check (next_seconds between 0 and 2592000),
    -- What clients waited for when a limit was switched on is not timed.
    add column timed_since timestamptz not null default now(),
    add column greeting text not null default '' check (length(greeting) <= 4000),
    add column off_hours_reply text not null default '' check (length(off_hours_reply) <= 4000),
    add column revision bigint not null default 1,
    add column updated_at timestamptz not null default now();

-- Since when a client waits, and in which conversation an agent's answer was sent last.
alter table chat
    add column waiting_since timestamptz,
    add column answered_number bigint not null default 0;

-- Working hours by assignment's calendars: copies, of the account (the zero id) and of channels. Deleted ones stay, without
-- hours, and so do those of whom it was asked and who had none.
create table working_hours (
    account    text    not null,
    owner      text    not null check (owner in ('account', 'channel')),
    owner_id   uuid    not null,
    revision   bigint  not null,
    deleted    boolean not null,
    definition jsonb,
    primary key (account, owner, owner_id)
);

-- Waits that are timed. A row is there as long as the client waits.
create table response_wait (
    chat_id         uuid        primary key,
    account         text        not null,
    channel_id      uuid        not null,
    conversation_id uuid        not null,
    number          bigint      not null,
    since           timestamptz not null,
    -- No answer of an agent was sent in this conversation.
    first           boolean     not null,
    -- Whether it was worked out when it is exceeded, and when that is: never, where no working time comes.
    planned         boolean     not null default false,
    due_at          timestamptz,
    exceeded_at     timestamptz
);

create index response_wait_unplanned on response_wait (since) where not planned and exceeded_at is null;
create index response_wait_due on response_wait (due_at) where planned and exceeded_at is null;
create index response_wait_by_channel on response_wait (account, channel_id, chat_id) where exceeded_at is null;

-- Kept by the database, so that no way of changing a chat is forgotten, and without a round trip in any of them.
create function time_waits() returns trigger language plpgsql as $$
begin
    delete from response_wait w using new_rows n
    where w.chat_id = n.chat_id
      and (not n.waiting or n.spam or n.state = 'inactive' or n.waiting_since is distinct from w.since
           or n.conversation_id is distinct from w.conversation_id);
    insert into response_wait (chat_id, account, channel_id, conversation_id, number, since, first)
    select n.chat_id, n.account, n.channel_id, n.conversation_id, n.number, n.waiting_since, n.answered_number < n.number
    from new_rows n
    join channel_rule r on r.account = n.account and r.channel_id = n.channel_id
    -- Some providers tell whole seconds only.
    where n.waiting and not n.spam and n.state <> 'inactive'
      and n.waiting_since >= date_trunc('second', r.timed_since)
      and case when n.answered_number < n.number then r.first_seconds else r.next_seconds end > 0
    on conflict do nothing;
    return null;
end
$$;

create trigger chat_timed after update on chat
    referencing new table as new_rows for each statement execute function time_waits();

-- Conversations that clients opened and that may be answered by itself. A row goes when that is decided.
create table auto_reply (
    conversation_id uuid        primary key,
    account         text        not null,
    channel_id      uuid        not null,
    chat_id         uuid        not null,
    opened_at       timestamptz not null
);

create index auto_reply_by_time on auto_reply (opened_at);
