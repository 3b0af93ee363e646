-- Labels on chats and snoozed chats (B13).
alter table chat
    -- As they are shown, in the order in which they came.
    add column labels text[] not null default '{}',
    -- Out of sight until then, or until the client writes; without a time until the client writes.
    add column snoozed boolean not null default false,
    add column wake_at timestamptz;

create index chat_woken on chat (wake_at) where snoozed and wake_at is not null;
create index chat_snoozed on chat (account, last_client_message_at desc, chat_id desc) where snoozed;

-- The labels of an account, by the form in which they are compared; the name is how each was written first.
create table label (
    account text not null,
    key     text not null collate "C",
    name    text not null,
    primary key (account, key)
);

-- Which chats have which. The time is the chat's, kept with it, so that a label's list comes from the index in its order.
create table chat_label (
    account   text        not null,
    key       text        not null collate "C",
    chat_id   uuid        not null,
    listed_at timestamptz not null,
    primary key (account, key, chat_id)
);

create index chat_label_listed on chat_label (account, key, listed_at desc, chat_id desc);
create index chat_label_by_chat on chat_label (chat_id);
