-- Whether links in what goes out are replaced by short ones.
alter table channel add column shorten_links boolean not null default false;

-- A short link: where it leads, and the message that holds it.
create table short_link (
    code       text primary key,
    account    text not null check (account <> ''),
    channel_id uuid not null,
    chat_id    uuid not null,
    message_id uuid not null,
    url        text not null,
    -- Visitors who followed it.
    clicks     integer not null default 0,
    created_at timestamptz not null
) with (fillfactor = 80);

-- A person, as far as a cookie tells, who followed a short link.
create table link_click (
    code       text not null references short_link on delete cascade,
    visitor_id uuid not null,
    first_at   timestamptz not null,
    primary key (code, visitor_id)
);
