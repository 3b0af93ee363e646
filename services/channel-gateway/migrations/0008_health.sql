-- When an administrator disconnected the channel: its credentials are forgotten, and its line may be connected by
-- another channel meanwhile.
alter table channel add column released_at timestamptz;
drop index channel_provider_account;
create unique index channel_provider_account on channel (kind, provider_account) where released_at is null;

-- What is known of a channel's health, and who looks next. A channel is looked at by whoever holds its lease; under an
-- older number nothing is written any more.
create table channel_health (
    channel_id       uuid primary key references channel (id) on delete cascade,
    account          text not null check (account <> ''),
    check_at         timestamptz not null,
    lease_until      timestamptz not null default 'epoch',
    fence            bigint not null default 0,
    checked_at       timestamptz,
    -- Since when the provider could not be asked.
    failing_since    timestamptz,
    webhook          text not null default 'unknown',
    -- When a lost webhook was set again last.
    mended_at        timestamptz,
    -- Of which credentials the token is that the columns below speak of, and since when it is here.
    credentials      bigint not null default 0,
    token_since      timestamptz,
    token_expires_at timestamptz,
    token_tried_at   timestamptz,
    -- The days on which clients were heard: bit 0 is `active_on`, bit n the n-th day before it.
    active_on        date,
    active_days      bigint not null default 0
) with (fillfactor = 50);

create index channel_health_due on channel_health (check_at);

-- What needs an administrator. A row is made with its `channel.degraded` and goes with its `channel.recovered`.
create table channel_problem (
    channel_id uuid not null references channel (id) on delete cascade,
    account    text not null check (account <> ''),
    -- Who found it, and alone says that it is over.
    source     text not null check (source in ('check', 'delivery', 'credentials')),
    reason     text not null,
    detail     text not null,
    since      timestamptz not null,
    primary key (channel_id, reason)
);

-- Since when a mailbox cannot be read, and why.
alter table mailbox add column failing_since timestamptz;
alter table mailbox add column problem text not null default '';
