-- A chat's own name and image (F163, F165); whether its client waits for an answer (F076, F206) and whether what the client
-- wrote was read (F209).
alter table chat
    add column name text not null default '' check (length(name) <= 200),
    add column image uuid,
    add column waiting boolean not null default false,
    add column unread boolean not null default false,
    add column read_version bigint not null default 0;

update chat set waiting = true, unread = true where unanswered > 0;

-- Spam is in no list of those who wait: nobody means to answer it.
create index chat_waiting on chat (account, last_client_message_at desc, chat_id desc) where waiting and not spam;
create index chat_unread on chat (account, last_client_message_at desc, chat_id desc) where unread;
drop index chat_unanswered;
