-- Whether what clients wrote in chats was read, as conversation tells (F208). It may be told of before the chat is known here.
create table talk (
    account text    not null,
    chat    uuid    not null,
    channel uuid    not null,
    -- The newest conversation, and how often its mark changed; -1 at its opening.
    number  bigint  not null,
    version bigint  not null,
    unread  boolean not null,
    primary key (account, chat)
);

create index talk_unread on talk (account, chat) where unread;
