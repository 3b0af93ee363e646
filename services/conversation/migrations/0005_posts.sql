-- Pages of posts that clients comment (F090): the gateway learns them after the comment was stored.
create table post (
    account  text not null check (account <> ''),
    post_key text not null check (post_key <> ''),
    link     text not null,
    said_at  timestamptz not null,
    primary key (account, post_key)
);
