-- The credentials that the mailbox's server refused for good: under that number nobody follows it, in whatever process, until
-- the channel is enabled anew. A channel whose mails are refused elsewhere is disconnected too, and is followed still.
alter table mailbox add column refused_credentials bigint;

-- Refusals of a channel's login by the server that takes its mails, one after the other.
create table submission_refusal (
    channel_id  uuid primary key,
    credentials bigint not null,
    refusals    integer not null check (refusals > 0),
    -- When the last one that counts happened: many mails that go at once are refused once.
    refused_at  timestamptz not null
);
