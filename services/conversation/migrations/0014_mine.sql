-- Chats that an agent has joined (F150). Most chats have nobody beside the responsible, so the index is small.
create index chat_assignment_joined on chat_assignment using gin (participants) where participants <> '{}';
