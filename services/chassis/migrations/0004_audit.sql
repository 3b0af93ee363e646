-- Who changed which setting of this service, from what to what (B11). A row is written by the transaction that changes
-- the setting; secrets are never in it.
create table chassis.audit_entry (
    account      text not null check (account <> ''),
    entry_id     uuid not null,
    time         timestamptz not null,
    actor        text not null,
    action       text not null,
    subject_kind text not null,
    subject_id   text not null,
    subject_name text not null,
    -- [{"field": .., "before": .., "after": ..}]; a side that was not there is left out.
    changes      jsonb not null,
    primary key (account, entry_id)
);

create index audit_entry_newest on chassis.audit_entry (account, time desc, entry_id desc);
create index audit_entry_of_subject on chassis.audit_entry (account, subject_id, time desc, entry_id desc);
create index audit_entry_by_actor on chassis.audit_entry (account, actor, time desc, entry_id desc);
create index audit_entry_by_age on chassis.audit_entry (time);
