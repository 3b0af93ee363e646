-- Which transaction changed a chat last, for those who watch a list: what changed in transactions that had ended by a moment
-- is found by it, and nothing that commits later can be among them.
alter table chat add column changed xid8 not null default pg_current_xact_id();

create index chat_by_change on chat (account, changed, chat_id);

-- A client's name stands in the lists of their chats.
create index chat_by_client on chat (client_id);
