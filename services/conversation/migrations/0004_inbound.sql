-- Further keys by which the provider knows a message: of every item of an album, and of what somebody of ours wrote in
-- the provider's own app.
create table message_key (
    channel_id   uuid not null,
    provider_key text not null check (provider_key <> ''),
    account      text not null check (account <> ''),
    message_id   uuid not null,
    chat_id      uuid not null,
    primary key (channel_id, provider_key)
);

insert into message_key (channel_id, provider_key, account, message_id, chat_id)
select channel_id, provider_key, account, message_id, chat_id
from message
where kind = 'agent' and delivery is null and provider_key <> ''
on conflict do nothing;

-- A machine wrote it: nobody waits for an answer.
alter table message add column automatic boolean not null default false;

-- The newest deep link by which a client came into a chat without writing (D30); of a chat that is not known yet, too.
create table chat_start (
    chat_id         uuid primary key,
    account         text not null check (account <> ''),
    payload         text not null,
    -- As the provider tells it: an older one never replaces a newer.
    time            timestamptz not null,
    event_key       text not null,
    -- The conversation that took it; none until then.
    conversation_id uuid
) with (fillfactor = 80);
