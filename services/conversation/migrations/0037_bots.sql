-- Bots: scenarios that talk to clients by themselves (F199).
create table bot (
    account    text        not null check (account <> ''),
    bot_id     uuid        not null,
    name       text        not null,
    -- Encoded as `Bot`, without what has a column.
    body       bytea       not null,
    trigger    text        not null check (trigger in ('', 'conversation-opened', 'response-time-exceeded')),
    channels   uuid[]      not null,
    enabled    boolean     not null,
    nps        boolean     not null,
    revision   bigint      not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account, bot_id)
);

create index bot_triggered on bot (account, trigger) where enabled and trigger <> '';

-- Runs of bots in chats (F197). A run keeps the scenario that it began with.
create table bot_run (
    run_id          uuid        primary key,
    account         text        not null check (account <> ''),
    bot_id          uuid        not null,
    bot_name        text        not null,
    nps             boolean     not null,
    chat_id         uuid        not null,
    channel_id      uuid        not null,
    conversation_id uuid        not null,
    body            bytea       not null,
    state           text        not null check (state in
        ('ready', 'waiting', 'calling', 'finished', 'stopped', 'answered', 'closed', 'failed')),
    step            text        not null default '',
    answers         jsonb       not null default '{}',
    questions       integer     not null default 0,
    -- What the client answered, until the run goes on with it.
    input           text,
    -- When it goes on by itself: at once, when an answer did not come, or when another service is asked again.
    due_at          timestamptz,
    tries           integer     not null default 0,
    started_by      text        not null,
    started_at      timestamptz not null,
    ended_at        timestamptz
);

create index bot_run_due on bot_run (due_at) where ended_at is null;
create unique index bot_run_of_chat on bot_run (chat_id) where ended_at is null;
create index bot_run_by_chat on bot_run (chat_id, started_at desc, run_id desc);

-- Chats in which a bot is to start by itself, noted where the chat is not locked.
create table bot_wanted (
    chat_id  uuid        not null,
    trigger  text        not null,
    noted_at timestamptz not null,
    primary key (chat_id, trigger)
);

-- The run in a chat, and whether it waits for a score: what a client's message is, is known under the chat's lock.
alter table chat
    add column bot_run uuid,
    add column bot_waits text not null default '' check (bot_waits in ('', 'answer', 'score'));

-- What clients answered to the question of NPS, or why they were not asked (D15).
create table nps_answer (
    account         text        not null check (account <> ''),
    conversation_id uuid        not null,
    chat_id         uuid        not null,
    channel_id      uuid        not null,
    run_id          uuid,
    skipped         text        not null default '',
    score           smallint    check (score between 0 and 10),
    comment         text        not null default '',
    asked_at        timestamptz not null,
    primary key (account, conversation_id)
);

create index nps_answer_by_time on nps_answer (account, asked_at);

alter table channel_rule add column nps_bot uuid;
