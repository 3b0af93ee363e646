-- Under which keys the provider knows what went out: receipts and echoes name them.
create table sent_key (
    channel_id   uuid not null,
    provider_key text not null,
    chat_id      uuid not null,
    out_seq      bigint not null,
    part         integer not null,
    sent_at      timestamptz not null,
    primary key (channel_id, provider_key)
);

create index sent_key_by_age on sent_key (sent_at);

-- What was sent may be delivered and read.
alter table part drop constraint part_state_check;
alter table part add constraint part_state_check
    check (state in ('queued', 'sending', 'sent', 'delivered', 'read', 'failed', 'uncertain', 'cancelled'));

-- What a receipt of "all up to" moves.
create index part_unread on part (chat_id, out_seq, part) where state in ('sent', 'delivered');
create index lane_by_chat_key on lane (channel_id, chat_key);

-- Receipts and echoes that name an unknown key while an attempt of their chat has no outcome: it may be that attempt's.
create table held_item (
    channel_id uuid not null,
    event_key  text not null,
    chat_key   text not null,
    account    text not null check (account <> ''),
    -- Encoded switchboard.channel_gateway.v1.InboundEvent without its raw item.
    item       bytea not null,
    item_id    uuid not null,
    trace      text not null,
    held_at    timestamptz not null,
    primary key (channel_id, event_key)
);

create index held_item_by_age on held_item (held_at);

-- Messages of the provider's own app that were announced: a repeat is known by them for 30 days.
create table own_app_message (
    channel_id   uuid not null,
    provider_key text not null,
    announced_at timestamptz not null,
    primary key (channel_id, provider_key)
);

create index own_app_message_by_age on own_app_message (announced_at);
