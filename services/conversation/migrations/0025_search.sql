-- Words of messages (B12): one row for each that can be found. What begins the lexemes tells the account and when the message was
-- sent, so that a search reads few pages of the index: see `domain::search`.
create table message_words (
    message_id uuid primary key,
    account    text not null check (account <> ''),
    chat_id    uuid not null,
    channel_id uuid not null,
    kind       text not null check (kind in ('client', 'agent', 'bot', 'note')),
    time       timestamptz not null,
    words      tsvector not null
);

-- No list of what is not in the index yet: every search would read it whole, for each bucket of time.
create index message_words_found on message_words using gin (words) with (fastupdate = off);

-- The oldest bucket in which an account has messages.
create table message_words_begin (
    account text primary key check (account <> ''),
    bucket  bigint not null
) with (fillfactor = 50);

-- Words of chats (F075): of client and chat themselves, and of the entities of CRM that are linked with it.
create table chat_words (
    chat_id uuid primary key,
    account text not null check (account <> ''),
    own     tsvector not null default '',
    crm     tsvector not null default ''
);

create index chat_words_found on chat_words using gin ((own || crm)) with (fastupdate = off);

-- Copy of the names of contacts and cards: the highest revision. One that was deleted has no name.
create table entity_name (
    account     text not null check (account <> ''),
    entity_id   uuid not null,
    kind        text not null check (kind in ('contact', 'card')),
    name        text not null,
    responsible uuid,
    revision    bigint not null,
    primary key (account, entity_id)
);

-- Copy of which chats are linked with them: what was said last, by the sequence of the chat's events.
create table entity_link (
    account   text not null check (account <> ''),
    chat_id   uuid not null,
    entity_id uuid not null,
    linked    boolean not null,
    sequence  bigint not null,
    primary key (account, chat_id, entity_id)
);

create index entity_link_by_entity on entity_link (account, entity_id) where linked;

-- Up to where what was there before is filled in yet, from the highest id on downwards; no row where all is.
create table search_fill (
    what   text primary key check (what in ('messages', 'chats')),
    before uuid not null
);

insert into search_fill
values ('messages', 'ffffffff-ffff-ffff-ffff-ffffffffffff'), ('chats', 'ffffffff-ffff-ffff-ffff-ffffffffffff');
