-- Quick replies: texts and files that agents put into the input field (F094, B14). An account has 5,000 at most.
create table quick_reply (
    account        text not null check (account <> ''),
    quick_reply_id uuid not null,
    owner_kind     text not null check (owner_kind in ('account', 'group', 'agent')),
    -- The group or the agent. Nil where it is the account's: in an index no null is like another.
    owner_id       uuid not null,
    folder         text not null,
    shortcut       text not null,
    title          text not null check (title <> ''),
    -- As in the contract's Text.
    body           bytea not null,
    attachment_ids uuid[] not null,
    -- The account and the words of shortcut, title and body (F095).
    words          tsvector not null,
    revision       bigint not null check (revision > 0),
    -- When the gateway was last told to keep the files; null where there are none.
    held_at        timestamptz,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    primary key (account, quick_reply_id),
    check ((owner_kind = 'account') = (owner_id = '00000000-0000-0000-0000-000000000000')),
    check ((held_at is null) = (attachment_ids = '{}'))
);

create unique index quick_reply_by_shortcut on quick_reply (account, owner_kind, owner_id, shortcut) where shortcut <> '';
create index quick_reply_by_title on quick_reply (account, title, quick_reply_id);
create index quick_reply_by_words on quick_reply using gin (words);
create index quick_reply_held on quick_reply (held_at) where held_at is not null;
