-- Files that were sent go when their time has come, where they have one.
create index attachment_sent on attachment (used_at) where source = 'upload' and used_at is not null and state = 'stored';
