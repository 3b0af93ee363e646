-- Which visitors came by the links of a contact that was merged away, for the way back. Of merges before nobody knows them.
alter table contact_merge add column visits uuid[] not null default '{}';
