-- Responsibles of chats that entities are to take, where they overtook the decision of their conversation: only by then it is
-- known what the chat is linked to. Of several the highest stamp stays.
create table parked_sync (
    account      text        not null check (account <> ''),
    conversation uuid        not null,
    chat         uuid        not null,
    agent        uuid        not null,
    kinds        text[]      not null,
    stamp_time   timestamptz not null,
    stamp_event  uuid        not null,
    cause        uuid        not null,
    traceparent  text,
    parked_at    timestamptz not null,
    primary key (account, conversation)
);

create index parked_sync_by_age on parked_sync (parked_at);
