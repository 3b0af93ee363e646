-- The photo of a chat's client, as the channel knows them (F067): a file of the gateway, and what the gateway told last. It may be
-- told before the first message is stored, and so stands beside the chat.
create table client_photo (
    chat_id       uuid primary key,
    account       text not null check (account <> ''),
    -- Null: the client has none any more.
    attachment_id uuid,
    told_at       timestamptz not null
) with (fillfactor = 80);
