-- Few of an account's chats are open, and lists of them must not look at those that are not.
create index chat_open on chat (account, state, last_client_message_at desc, chat_id desc) where state <> 'inactive';
create index chat_open_by_channel on chat (account, channel_id, state, last_client_message_at desc, chat_id desc)
    where state <> 'inactive';
create index chat_open_by_responsible on chat (account, responsible, state, last_client_message_at desc, chat_id desc)
    where state <> 'inactive';
