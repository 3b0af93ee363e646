-- What bots wait for, and whom they can reach. Tables of their own beside those of bots, which have later files: whatever was
-- applied before, this can be. Replicas of an earlier version do not know them and lose nothing: a run without a row here hears
-- every word as before.

-- Since when a run of a bot (`bot_run`) waits: when it asked, or when it heard what it goes on with. By it words that are older
-- than the question are told from its answer.
create table bot_wait (
    run_id  uuid        primary key,
    account text        not null check (account <> ''),
    since   timestamptz not null
);

-- The question of NPS of a conversation (`nps_answer`): who was responsible when the client was asked, and the message that asks.
create table nps_question (
    account         text not null check (account <> ''),
    conversation_id uuid not null,
    responsible     uuid,
    message_id      uuid,
    primary key (account, conversation_id)
);

create index nps_question_by_message on nps_question (message_id) where message_id is not null;

-- Clients who have blocked their channel, and who have unblocked it, as the gateway told last.
create table client_block (
    chat_id uuid        primary key,
    account text        not null check (account <> ''),
    blocked boolean     not null,
    told_at timestamptz not null
);

-- Channels that are switched off or lost, and those that are well again, as the gateway told last.
create table channel_reach (
    account    text        not null check (account <> ''),
    channel_id uuid        not null,
    off        boolean     not null,
    told_at    timestamptz not null,
    primary key (account, channel_id)
);
