-- Bytes of an account's uploads, announced, stored or sent: one row, so that uploads at the same time cannot exceed the
-- limit together. What clients send is not counted: it is never refused.
create table upload_usage (
    account text primary key check (account <> ''),
    bytes   bigint not null check (bytes >= 0)
);

insert into upload_usage (account, bytes)
select account, sum(size) from attachment where source = 'upload' group by account;
