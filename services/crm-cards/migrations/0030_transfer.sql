-- Contacts and companies that come by files: many at once, and named as people name them.

-- Rows of files name companies by their names.
create index company_by_name on company (account, name) where deleted_at is null;

-- Whether others have the same phone is asked for every contact that is made. Each such question reads the whole list of
-- words that wait to be sorted in: 4 MiB by default, which is more than the question itself costs by far.
alter index contact_by_words set (gin_pending_list_limit = 128);
