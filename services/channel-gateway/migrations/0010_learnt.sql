-- What is asked of a provider about what came in, after it was accepted: the page of a post, the name of a person. One
-- row for each, whoever mentions it; it is forgotten after a month and asked anew.
create table lookup (
    channel_id uuid not null,
    kind       text not null check (kind in ('post', 'person')),
    -- The provider's id of the post or person.
    key        text not null check (key <> ''),
    account    text not null check (account <> ''),
    -- What the provider said; null while it is asked, and where it says nothing.
    answer     jsonb,
    -- When to ask, or to ask again; while somebody asks, when his lease ends. Null: it is done or given up.
    due_at     timestamptz,
    tries      integer not null default 0,
    fence      bigint not null default 0,
    asked_at   timestamptz not null,
    primary key (channel_id, kind, key)
) with (fillfactor = 80);

create index lookup_due on lookup (due_at) where due_at is not null;
create index lookup_by_age on lookup (asked_at);

-- When the last attempt began: an echo that comes about then, and says the same, is that attempt's.
alter table part add column attempted_at timestamptz;
create index part_uncertain on part (chat_id) where state = 'uncertain';

-- A comment may be answered in Direct once. The part that did so names it.
create index part_private_reply on part (chat_id, (params #>> '{recipient,comment_id}'))
    where params #>> '{recipient,comment_id}' is not null;

-- When the client wrote, by the provider's clock.
alter table message_note add column written_at timestamptz;

-- Accounts of Instagram that were refused several pictures in one message: theirs go one by one.
create table single_images (
    channel_id uuid primary key,
    told_at    timestamptz not null
);

-- A file whose message the client took back (channels.md §7.20): its bytes go when nobody can be fetching them any more.
alter table attachment add column withdrawn_at timestamptz;
create index attachment_withdrawn on attachment (withdrawn_at) where withdrawn_at is not null;
