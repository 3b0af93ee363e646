-- An answer belongs into the thread of what the client wrote, and not below what their autoresponder said to the answer
-- before it.
alter table message_note add column automatic boolean not null default false;

create index message_note_by_person on message_note (channel_id, chat_key, noted_at desc) where not automatic;
