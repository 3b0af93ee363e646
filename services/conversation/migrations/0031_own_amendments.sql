-- What agents asked to be changed of messages at the provider, under the id of its command. Of a message one is under way at most;
-- 'sent' is done.
create table own_amendment (
    amendment_id uuid        primary key,
    account      text        not null check (account <> ''),
    chat_id      uuid        not null,
    message_id   uuid        not null,
    kind         text        not null check (kind in ('edit', 'deletion', 'reaction')),
    agent_id     uuid        not null,
    -- Of an edit the content as it shall be, encoded as message.body.
    body         bytea       not null,
    -- Of a reaction; empty takes it back.
    emoji        text        not null,
    state        text        not null check (state in
        ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'uncertain', 'cancelled')),
    reason       text        not null default '',
    detail       text        not null default '',
    created_at   timestamptz not null
);

create index own_amendment_by_message on own_amendment (message_id, created_at desc, amendment_id desc);

-- An album's keys are asked for by its message.
create index message_key_by_message on message_key (message_id);
