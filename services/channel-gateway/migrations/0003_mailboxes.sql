-- A mailbox is read by one replica at a time, for as long as it keeps its lease by the database's clock. Who comes next
-- raises the number: under an older one nothing is written any more.
create table mailbox (
    channel_id  uuid primary key,
    account     text not null check (account <> ''),
    owner       uuid not null,
    fence       bigint not null check (fence > 0),
    lease_until timestamptz not null
) with (fillfactor = 50);

-- Up to where a folder was read.
create table mailbox_folder (
    channel_id   uuid not null references mailbox (channel_id) on delete cascade,
    folder       text not null check (folder in ('inbox', 'sent')),
    -- The life of the folder in which UIDs mean something, and the last of them that is done.
    uidvalidity  bigint not null check (uidvalidity between 0 and 4294967295),
    last_uid     bigint not null check (last_uid between 0 and 4294967295),
    -- While a folder is read again because its UIDs lost their meaning: only what came since that day.
    since        date,
    -- When all that it held was known to be read.
    last_good_at timestamptz not null,
    primary key (channel_id, folder)
) with (fillfactor = 50);

-- Mails that could not be fetched. One that is quarantined is not tried again by itself.
create table mailbox_failure (
    channel_id     uuid not null references mailbox (channel_id) on delete cascade,
    folder         text not null,
    uidvalidity    bigint not null,
    uid            bigint not null,
    tries          integer not null check (tries > 0),
    problem        text not null,
    quarantined_at timestamptz,
    primary key (channel_id, folder, uidvalidity, uid)
);

create index mailbox_failure_quarantined on mailbox_failure (channel_id, quarantined_at)
    where quarantined_at is not null;
