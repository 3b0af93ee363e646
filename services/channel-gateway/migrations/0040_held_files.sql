-- Uploads that are kept for quick replies until then, whether or not anybody sends them; every agent of the account may read
-- and send them meanwhile. Null once that time is over.
alter table attachment add column held_until timestamptz;

create index attachment_held on attachment (held_until) where held_until is not null;

-- What is held is not looked at by those who look for what may go.
drop index attachment_unused;
create index attachment_unused on attachment (created_at) where source = 'upload' and used_at is null and held_until is null;
drop index attachment_sent;
create index attachment_sent on attachment (used_at)
    where source = 'upload' and used_at is not null and state = 'stored' and held_until is null;
