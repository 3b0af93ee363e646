-- What lists of chats are narrowed to, kept under names (B13). The zero owner is everybody.
create table chat_filter (
    account   text  not null check (account <> ''),
    filter_id uuid  not null,
    owner     uuid  not null,
    name      text  not null,
    -- Encoded as `ListChatsRequest`.
    body      bytea not null,
    primary key (account, filter_id)
);

create index chat_filter_by_owner on chat_filter (account, owner, name);
