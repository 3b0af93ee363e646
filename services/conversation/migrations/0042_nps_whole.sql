-- At which revision of its conversation a client was asked of NPS, by which it is known whether the conversation has gone on after
-- its end since; 0 where an earlier version asked. And when, for the sweep.
alter table nps_question
    add column revision bigint not null default 0,
    add column asked_at timestamptz not null default now();

create index nps_question_by_age on nps_question (asked_at);
create index bot_run_by_age on bot_run (ended_at) where ended_at is not null;

-- The client has commented on NPS after the end of the conversation, and nobody has read it: a notification, though nobody waits.
alter table chat add column commented boolean not null default false;

create index chat_commented on chat (account, responsible, last_client_message_at desc, chat_id desc)
    where commented and not spam;
create index chat_commented_of_nobody on chat (account, last_client_message_at desc, chat_id desc)
    where commented and not spam and responsible is null;
