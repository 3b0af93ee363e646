-- What each replica of this service last told of itself, as an encoded switchboard.operator.v1.Replica: whichever is asked
-- for the status tells of all (O2.1). A replica that ends as it should takes its row with it; one that was killed is seen as
-- silent for a while.
create table chassis.replica (
    replica_id  uuid primary key,
    started_at  timestamptz not null,
    reported_at timestamptz not null,
    report      bytea not null
);
