-- What agents do with chats: join, leave, hand over, give back; and what a reply does to the responsible.

-- Set while a chat has nobody because its responsible was taken away: distribution looks for somebody (`queued`), or
-- the chat waits for a hand (`stays`). No rule puts the opener or the previous responsible back then.
alter table chat_assignment add column given_back text check (given_back in ('queued', 'stays'));

-- Chats that an agent leaves by losing access are found by agent.
create index chat_assignment_by_agent on chat_assignment (account, agent_id, chat_id)
    where open and agent_id is not null;

-- The order of joining. Times are taken before the chat is locked, and several join at one time.
alter table chat_participant add column place bigint generated always as identity;
create index chat_participant_by_agent on chat_participant (agent_id, chat_id);

-- The words are the domain's: a list here would have to be repeated with each new rule.
alter table assignment_choice drop constraint assignment_choice_rule_check;
alter table assignment_choice add constraint assignment_choice_rule_check check (rule ~ '^[a-z-]+$');

-- What a reply does to a chat's responsible; channels without a row have neither option.
create table reply_rule (
    account            text not null,
    channel_id         uuid not null,
    claim_before_reply boolean not null,
    reassign_on_reply  boolean not null,
    primary key (account, channel_id)
);

-- Agents whose access was narrowed: chats that they may not have any more are still to be taken from them. Written in
-- the transaction that narrows, removed when nothing is left; `change` tells a later narrowing from the one at work.
create table agent_release (
    account  text not null,
    agent_id uuid not null,
    -- Who narrowed, as in `ce-sbactor`.
    actor    text not null,
    change   uuid not null,
    primary key (account, agent_id),
    foreign key (account, agent_id) references agent
);
