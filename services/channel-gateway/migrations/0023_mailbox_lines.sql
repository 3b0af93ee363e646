-- What makes a mailbox the same one. Its address does not: whoever runs a mail server can have any address on it, so an
-- address that were taken would be a way to keep others from connecting theirs. What is read does: the server and the name
-- to sign in with, which only who has the password can prove. Null for the other kinds, whose provider tells one id, and for
-- a mailbox that was entered before until it is enabled or gets credentials again; the service fills those in at its start.
alter table channel add column mail_host text;
alter table channel add column mail_login text;

drop index channel_provider_account;
drop index channel_provider_account_once;
create unique index channel_provider_account on channel (kind, provider_account)
    where proven_at is not null and released_at is null and kind <> 'email';
create unique index channel_provider_account_once on channel (account, kind, provider_account)
    where released_at is null and kind <> 'email';

-- Two who read the same mailbox would take turns in marking what is new.
create unique index channel_mailbox on channel (mail_host, mail_login)
    where proven_at is not null and released_at is null;
create unique index channel_mailbox_once on channel (account, mail_host, mail_login)
    where released_at is null;
-- Inside an account an address at a server is one channel's too.
create unique index channel_mail_address_once on channel (account, mail_host, provider_account)
    where released_at is null;
