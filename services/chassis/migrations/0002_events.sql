create schema if not exists chassis;

-- Events that were committed and are not yet acknowledged by the broker. One row holds all events of a
-- transaction (at most 1,000 a row); the row's presence is its status.
create table chassis.outbox (
    id          bigint generated always as identity primary key,
    created_at  timestamptz not null,
    event_count integer not null check (event_count between 1 and 1000),
    events      bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The last ce-sbsequence of each subject of this service's events. The row is the lock under which a
-- subject's events get their order.
create table chassis.event_sequence (
    account text not null check (account <> ''),
    subject text not null,
    last    bigint not null check (last > 0),
    primary key (account, subject)
) with (fillfactor = 80);

-- Events that a consumer has handled, for those that leave no natural key. Kept for seven days.
create table chassis.inbox (
    consumer text not null,
    event_id uuid not null,
    seen_at  timestamptz not null default now(),
    primary key (consumer, event_id)
);

create index inbox_by_age on chassis.inbox (seen_at);
