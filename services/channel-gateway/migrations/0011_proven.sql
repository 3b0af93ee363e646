-- Since when the provider vouches that the line is this channel's: it accepted credentials of it. Whoever has only
-- entered a line's id, with whatever beside it, reserves nothing.
alter table channel add column proven_at timestamptz;
update channel set proven_at = created_at where provider_name <> '' or state = 'enabled';
-- Of a token that does not tell whose line it is: so the same one is known again before the provider is asked. There is
-- no index: it is compared when a channel is created or gets credentials, and what is proven decides.
alter table channel add column token_hash text;

drop index channel_provider_account;
create unique index channel_provider_account on channel (kind, provider_account)
    where proven_at is not null and released_at is null;
-- Inside an account nobody enters the same line twice, proven or not.
create unique index channel_provider_account_once on channel (account, kind, provider_account)
    where released_at is null;
