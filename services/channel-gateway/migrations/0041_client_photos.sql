-- The photo of a client (F067), one row for each chat whose client wrote. The photo itself is a file of `attachment`.
create table client_photo (
    chat_id       uuid primary key,
    channel_id    uuid not null,
    chat_key      text not null check (chat_key <> ''),
    account       text not null check (account <> ''),
    -- The provider's id of the client.
    user_id       text not null check (user_id <> ''),
    -- Where the provider's messages told that the photo is, sealed, while it is to be fetched. Null: none was told.
    reference     bytea,
    -- Hash of what was told last: another one tells of another photo.
    told          bytea,
    -- Hash of what the provider calls the photo that was looked at last.
    version       bytea,
    -- The photo that is shown; null: there is none.
    attachment_id uuid,
    -- When it is to be looked at, or looked at again; while somebody does so, when his lease ends. Null: not before the client writes
    -- again.
    due_at        timestamptz,
    tries         integer not null default 0,
    lease_until   timestamptz,
    fence         bigint not null default 0,
    -- When it was last asked for.
    asked_at      timestamptz not null
) with (fillfactor = 80);

create index client_photo_due on client_photo (channel_id, due_at) where due_at is not null;
create index client_photo_leased on client_photo (channel_id) where lease_until is not null;
