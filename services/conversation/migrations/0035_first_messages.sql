-- The contact to whom an agent wrote when the chat began (F084). Until the CRM has heard of that conversation it alone tells whose
-- chat it is.
alter table chat add column written_to uuid;
