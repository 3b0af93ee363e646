-- Up to which of the client's messages an agent has read the notification of a chat. A chat's notification itself is the chat: it
-- waits, and is the agent's or nobody's.
alter table chat add column last_client_sequence bigint not null default 0;

update chat set last_client_sequence = sequence where waiting;

create table notification_mark (
    account  text   not null,
    agent_id uuid   not null,
    chat_id  uuid   not null,
    sequence bigint not null,
    primary key (account, agent_id, chat_id)
);

create index chat_notified on chat (account, responsible, last_client_message_at desc, chat_id desc)
    where waiting and not spam and state <> 'inactive';
