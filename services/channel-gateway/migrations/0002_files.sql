-- A file: one that a client sent, or one that an agent uploads to send it. Its bytes lie in the object store.
create table attachment (
    id            uuid primary key,
    account       text not null check (account <> ''),
    source        text not null check (source in ('inbound', 'upload')),
    -- Whose file it is: who may see the channel may see the file. Of an upload, the channel it was sent through.
    channel_id    uuid check (source = 'upload' or channel_id is not null),
    -- The agent who uploads; null where a service does.
    agent         uuid,
    -- As in the contract's Attachment.Kind.
    kind          integer not null,
    state         text not null check (state in ('pending', 'stored', 'failed')),
    reason        text not null default '',
    file_name     text not null,
    media_type    text not null,
    size          bigint not null check (size >= 0),
    width         integer not null default 0,
    height        integer not null default 0,
    duration_ms   bigint not null default 0,
    sha256        bytea,
    -- Under which the bytes stand, or will stand, in the object store.
    object_key    text not null check (object_key <> ''),
    -- The provider's address or id of the file. It is as good as a secret: it opens only with the service's key and this
    -- row's id.
    reference     bytea,
    -- The messages that hold the file, as far as their events name them; the last hundred.
    provider_keys text[] not null default '{}',
    -- When the file is to be fetched, or fetched again; while somebody fetches it, when his lease ends.
    due_at        timestamptz,
    tries         integer not null default 0,
    lease_until   timestamptz,
    fence         bigint not null default 0,
    created_at    timestamptz not null,
    used_at       timestamptz,
    -- The item that brought it, and its trace.
    cause         uuid,
    trace         text not null default ''
) with (fillfactor = 80);

create index attachment_due on attachment (channel_id, due_at) where due_at is not null;
create index attachment_leased on attachment (channel_id) where lease_until is not null;
create index attachment_unused on attachment (created_at) where source = 'upload' and used_at is null;

-- A link that a provider fetches a file by: whoever knows the code may have it.
create table provider_link (
    code          text primary key,
    attachment_id uuid not null references attachment on delete cascade,
    created_at    timestamptz not null,
    expires_at    timestamptz not null
);

create index provider_link_by_attachment on provider_link (attachment_id, expires_at);
create index provider_link_by_end on provider_link (expires_at);

-- A raw item in the object store; it goes when no stream and no dead letter can name it any more.
create table raw_item (
    object_key text primary key,
    heard_at   timestamptz not null
);

create index raw_item_by_age on raw_item (heard_at);
