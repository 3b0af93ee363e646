-- Where each stream had ended when it was looked at last: one that ends before has lost what was accepted.
create table chassis.stream_end (
    stream       text primary key,
    last         bigint not null,
    seen_at      timestamptz not null,
    -- When it was found to end before.
    regressed_at timestamptz
);
