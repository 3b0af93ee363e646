-- For how long chats wait is looked at every few seconds, over all accounts.
create index chat_assignment_waiting_longest on chat_assignment (waiting_since) where waiting_since is not null;
