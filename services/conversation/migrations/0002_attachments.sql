-- What the gateway says of files, by id: their state comes later than the messages that hold them, or earlier.
create table attachment (
    attachment_id uuid primary key,
    account       text not null check (account <> ''),
    -- Encoded switchboard.common.v1.Attachment.
    word          bytea not null,
    said_at       timestamptz not null
) with (fillfactor = 80);
