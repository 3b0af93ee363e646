-- What an operator has stopped for a while, and what was stopped before (O3.6): each row is one pause, with who began it, why,
-- and when it ends by itself. Of one subject at most one has not ended; whoever ends it earlier moves its end to then.
create table chassis.pause (
    pause_id   uuid primary key,
    kind       text not null check (kind in ('channel', 'consumer', 'deliveries', 'replica')),
    subject_id text not null check (subject_id <> ''),
    name       text not null,
    -- Empty where it is of no account.
    account    text not null,
    began_at   timestamptz not null,
    ends_at    timestamptz not null,
    actor      text not null,
    reason     text not null,
    -- Empty where nobody ended it before its time.
    ended_by   text not null default ''
);

create index pause_by_end on chassis.pause (ends_at desc);
create index pause_by_begin on chassis.pause (began_at desc);
