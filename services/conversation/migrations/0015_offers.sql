-- The responsible still has to take the chat: writing asks assignment, which hears of it by that.
alter table chat_assignment add column offered boolean not null default false;
