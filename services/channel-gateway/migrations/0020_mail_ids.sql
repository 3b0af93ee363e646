-- Which mails came under which Message-ID. Programs give one id to several mails, so an id alone does not name a mail
-- (channels.md 5.1): the first mail with an id is known by it, and a further one of another content by both. Rows stay as
-- long as the messages do: who forgot the first mail would take the next one for it.
create table mail_id (
    channel_id uuid not null,
    -- Of the Message-ID, and of what the mail says: whose mail it is cannot be read from either.
    id_hash    bytea not null check (octet_length(id_hash) = 16),
    content    bytea not null check (octet_length(content) = 16),
    chat_id    uuid not null,
    -- It lay among what was sent from the mailbox.
    own        boolean not null,
    -- It has the id for itself.
    first      boolean not null,
    noted_at   timestamptz not null,
    primary key (channel_id, id_hash, content)
);

create unique index mail_id_first on mail_id (channel_id, id_hash) where first;
