-- What answers need to know of a client: until when Instagram lets them be written to.
create table client_note (
    channel_id     uuid not null,
    chat_key       text not null,
    last_client_at timestamptz not null,
    primary key (channel_id, chat_key)
) with (fillfactor = 80);

-- What answers need to know of a message: of a comment which post it stands under and which comment it answers, of a
-- mail its references. Opaque but to its provider's room.
create table message_note (
    channel_id   uuid not null,
    provider_key text not null,
    chat_key     text not null,
    note         bytea not null,
    noted_at     timestamptz not null,
    primary key (channel_id, provider_key)
);

create index message_note_by_chat on message_note (channel_id, chat_key, noted_at desc);
create index message_note_by_age on message_note (noted_at);
