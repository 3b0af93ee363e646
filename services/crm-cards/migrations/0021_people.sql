-- Companies; contacts with phones, e-mails and fields, that are made, changed and merged by hand; suspected duplicates.

create table company (
    account     text        not null check (account <> ''),
    id          uuid        not null,
    name        text        not null check (name <> ''),
    parent      uuid,
    phones      text[]      not null default '{}',
    emails      text[]      not null default '{}',
    -- Values of custom fields by the ids of their definitions.
    fields      jsonb       not null default '{}',
    -- The account behind an @, phones and e-mails as they are, and the words of the name: one index serves all.
    words       tsvector    not null default '',
    responsible uuid,
    stamp_time  timestamptz not null default '1970-01-01 00:00:00+00',
    stamp_event uuid        not null default '00000000-0000-0000-0000-000000000000',
    created_at  timestamptz not null,
    revision    bigint      not null default 1,
    deleted_at  timestamptz,
    primary key (account, id),
    foreign key (account, parent) references company,
    check (parent <> id)
);

create index company_by_creation on company (account, created_at desc, id desc) where deleted_at is null;
create index company_by_responsible on company (account, responsible, created_at desc, id desc)
    where deleted_at is null and responsible is not null;
create index company_of_nobody on company (account, created_at desc, id desc)
    where deleted_at is null and responsible is null;
create index company_by_parent on company (account, parent, created_at desc, id desc)
    where deleted_at is null and parent is not null;
create index company_by_words on company using gin (words) where deleted_at is null;

-- A contact that was merged into another one stays as a row that leads there: its old id keeps working, and its own values
-- wait for it to come back (B08). It is deleted for every list.
alter table contact
    add column company     uuid,
    add column phones      text[]   not null default '{}',
    add column emails      text[]   not null default '{}',
    add column fields      jsonb    not null default '{}',
    add column words       tsvector not null default '',
    add column merged_into uuid,
    add column deleted_at  timestamptz,
    add foreign key (account, company) references company,
    add foreign key (account, merged_into) references contact,
    add constraint contact_merged_is_gone check (merged_into is null or deleted_at is not null);

update contact c
set phones = coalesce((select array_agg(distinct i.phone) from identity i
                       where i.account = c.account and i.contact = c.id and i.phone ~ '^\+[0-9]{6,15}$'), '{}'),
    emails = coalesce((select array_agg(distinct lower(i.email)) from identity i
                       where i.account = c.account and i.contact = c.id and i.email like '%_@_%'), '{}');
update contact c
set words = array_to_tsvector(
                array['@' || c.account] || c.phones || c.emails
                || array(select distinct '#' || split_part(i.scope, ':', 1) from identity i
                         where i.account = c.account and i.contact = c.id))
            || setweight(to_tsvector('simple', c.name), 'A');

-- Lists ask for buyers and for others by themselves and merge.
drop index contact_by_creation;
drop index contact_by_responsible;
create index contact_by_creation on contact (account, buyer, created_at desc, id desc) where deleted_at is null;
create index contact_by_responsible on contact (account, responsible, buyer, created_at desc, id desc)
    where deleted_at is null and responsible is not null;
-- An index of its own: the order of one that begins with who is responsible is not seen where that is null.
create index contact_of_nobody on contact (account, buyer, created_at desc, id desc)
    where deleted_at is null and responsible is null;
create index contact_by_company on contact (account, company, buyer, created_at desc, id desc)
    where deleted_at is null and company is not null;
create index contact_by_words on contact using gin (words) where deleted_at is null;

-- Whose identity writes there: where contacts part again, chats go with their identities.
alter table chat
    add column scope   text,
    add column user_id text;

alter table history
    drop constraint history_kind_check,
    add constraint history_kind check (kind in (
        'created', 'updated', 'moved', 'responsible', 'participants', 'note', 'linked', 'deleted', 'key-action', 'merged',
        'unmerged'));

-- What a merge moved and what the contact gained by it, for the way back.
create table contact_merge (
    account    text        not null check (account <> ''),
    source     uuid        not null,
    target     uuid        not null,
    at         timestamptz not null,
    actor      text        not null,
    identities jsonb       not null,
    chats      uuid[]      not null,
    cards      uuid[]      not null,
    orders     uuid[]      not null,
    gained     jsonb       not null,
    primary key (account, source),
    foreign key (account, source) references contact,
    foreign key (account, target) references contact
);

create index contact_merge_by_target on contact_merge (account, target);

-- Pairs of contacts that may be one person, and why: what they have in common.
create table suspected_duplicate (
    account text        not null check (account <> ''),
    first   uuid        not null,
    second  uuid        not null,
    phone   text,
    email   text,
    visitor uuid,
    at      timestamptz not null,
    primary key (account, first, second),
    foreign key (account, first) references contact,
    foreign key (account, second) references contact,
    check (first < second),
    check (phone is not null or email is not null or visitor is not null)
);

create index suspected_duplicate_by_time on suspected_duplicate (account, at desc, first desc, second desc);
create index suspected_duplicate_by_second on suspected_duplicate (account, second);

-- Pairs that somebody has looked at: they are two persons, and are suspected no more.
create table dismissed_duplicate (
    account text        not null check (account <> ''),
    first   uuid        not null,
    second  uuid        not null,
    at      timestamptz not null,
    actor   text        not null,
    primary key (account, first, second),
    check (first < second)
);

-- By which contacts' links a visitor came: the same visitor of two is suspected to be one person.
create table contact_visit (
    account text        not null check (account <> ''),
    visitor uuid        not null,
    contact uuid        not null,
    at      timestamptz not null,
    primary key (account, visitor, contact),
    foreign key (account, contact) references contact
);

create index contact_visit_by_contact on contact_visit (account, contact);

-- How an account reads what is typed into contacts and companies.
create table contact_setting (
    account      text not null primary key check (account <> ''),
    phone_region text not null check (phone_region ~ '^[A-Z]{2}$')
);
