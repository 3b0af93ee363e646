-- Messages are divided by smaller pieces of time (see `domain::search::messages`), so that a word of half of all is not read in days
-- of which most are thrown away. All words are written anew, the newest first, which takes some minutes for millions of messages;
-- until then old messages are not found. A replica of the version before, which may run beside for a while, divides what it writes
-- as before: run the version before no longer than it takes.
truncate message_words, message_words_begin;
insert into search_fill values ('messages', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
on conflict (what) do update set before = excluded.before;

-- Notifications of nobody's chats in their order: the index of all knows the order of one agent's chats only.
create index chat_notified_of_nobody on chat (account, last_client_message_at desc, chat_id desc)
    where responsible is null and waiting and not spam and state <> 'inactive';

-- Unanswered chats of few channels: the list of all is long where others are busy.
create index chat_waiting_by_channel on chat (account, channel_id, last_client_message_at desc, chat_id desc)
    where waiting and not spam;

-- Unread chats of an agent: few of somebody's chats are.
create index chat_unread_by_responsible on chat (account, responsible, last_client_message_at desc, chat_id desc) where unread;
