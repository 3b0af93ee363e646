-- Changes of other services' settings, in the service that collects them (B11): beside its own, so that all are one list.
-- Empty is this service.
alter table chassis.audit_entry add column service text not null default '';

create index audit_entry_of_service on chassis.audit_entry (account, service, time desc, entry_id desc);
