-- Pipelines that change, cards with amounts, custom fields, participants and notes, their history, and counts of them.

-- Raised with every change: who changes what another has changed meanwhile is told.
alter table pipeline add column revision bigint not null default 1;
alter table contact add column revision bigint not null default 1;
alter table buyer_order add column revision bigint not null default 1;

-- Cards keep a source that is deleted: the row stays, and nobody can choose it any more.
alter table source
    add column revision   bigint not null default 1,
    add column deleted_at timestamptz;
drop index source_by_name;
create unique index source_by_name on source (account, name collate "C") where deleted_at is null;

-- Statuses change places with each other in one statement.
alter table status
    drop constraint status_account_pipeline_position_key,
    add constraint status_by_position unique (account, pipeline, position) deferrable initially deferred;

create index connection_by_pipeline on connection (account, pipeline) where pipeline is not null;
create index connection_by_source on connection (account, source) where source is not null;

-- The kind of messenger, as `telegram`: what stands before the colon of the scope of the identity that writes there.
alter table chat add column messenger text not null default '';

-- A deleted card has no kind of status, so its foreign key is not looked at: its status may go. No status can go that has
-- cards, nor can a card come into one that goes at the same moment.
alter table card
    add column revision     bigint not null default 1,
    add column amount       numeric(19, 4),
    add column currency     text,
    add column messenger    text,
    add column participants uuid[] not null default '{}',
    -- Values of custom fields by the ids of their definitions.
    add column fields       jsonb not null default '{}',
    -- The words of the title (weight A) and of the contact's name (B), and the account behind an @: one index serves all.
    add column words        tsvector not null default '',
    alter column status_kind drop not null,
    add constraint card_status_kind check (status_kind is not null or deleted_at is not null),
    add constraint card_money check ((amount is null) = (currency is null));

update chat c set messenger = split_part(i.scope, ':', 1)
from (select distinct on (account, contact) account, contact, scope from identity order by account, contact, scope) i
where i.account = c.account and i.contact = c.contact;

update card c
set messenger = (select h.messenger from chat h where h.account = c.account and h.id = c.chat),
    words = array_to_tsvector(array['@' || c.account]) || setweight(to_tsvector('simple', c.title), 'A')
            || setweight(to_tsvector('simple', coalesce(
                   (select p.name from contact p where p.account = c.account and p.id = c.contact), '')), 'B');

-- Lists ask for each status, or for each kind of status, by itself and merge. One of a pipeline asks for its statuses.
drop index card_by_pipeline;
drop index card_by_responsible;
-- Deleted cards, too: by this index the foreign key is looked at when a status goes.
create index card_by_status on card (account, status, created_at desc, id desc);
create index card_by_status_change on card (account, status, updated_at desc, id desc) where deleted_at is null;
create index card_by_change on card (account, status_kind, updated_at desc, id desc) where deleted_at is null;
create index card_by_responsible on card (account, responsible, status_kind, created_at desc, id desc)
    where deleted_at is null and responsible is not null;
create index card_by_responsible_change on card (account, responsible, status_kind, updated_at desc, id desc)
    where deleted_at is null and responsible is not null;
-- Indexes of their own: the order of one that begins with who is responsible is not seen where that is null.
create index card_of_nobody on card (account, status_kind, created_at desc, id desc)
    where deleted_at is null and responsible is null;
create index card_of_nobody_change on card (account, status_kind, updated_at desc, id desc)
    where deleted_at is null and responsible is null;
create index card_by_source on card (account, source, status_kind, created_at desc, id desc)
    where deleted_at is null and source is not null;
create index card_by_messenger on card (account, messenger, status_kind, created_at desc, id desc)
    where deleted_at is null and messenger is not null;
create index card_by_words on card using gin (words) where deleted_at is null;

-- What an account keeps of its entities beside what every account does.
create table field_definition (
    account    text        not null check (account <> ''),
    id         uuid        not null,
    entity     text        not null check (entity in ('card', 'contact', 'company', 'order')),
    key        text        not null check (key <> ''),
    name       text        not null check (name <> ''),
    kind       text        not null
        check (kind in ('text', 'number', 'flag', 'date', 'select', 'multi-select', 'url')),
    options    text[]      not null,
    required   boolean     not null,
    position   int         not null,
    revision   bigint      not null default 1,
    -- Entities keep their values; a field of the same key and kind that is made later is this one again.
    deleted_at timestamptz,
    primary key (account, id)
);

create unique index field_definition_by_key on field_definition (account, entity, key) where deleted_at is null;
create index field_definition_deleted on field_definition (account, entity, key, kind, deleted_at desc)
    where deleted_at is not null;

create table card_note (
    account text        not null,
    card    uuid        not null,
    at      timestamptz not null,
    id      uuid        not null,
    actor   text        not null,
    text    text        not null check (text <> ''),
    primary key (account, card, at, id),
    foreign key (account, card) references card
);

-- Who changed which field of an entity from what to what. Lists ask for each kind of entry by itself and merge.
create table history (
    account text        not null check (account <> ''),
    entity  text        not null check (entity in ('card', 'contact', 'company', 'order')),
    subject uuid        not null,
    kind    text        not null check (kind in (
        'created', 'updated', 'moved', 'responsible', 'participants', 'note', 'linked', 'deleted', 'key-action')),
    at      timestamptz not null,
    id      uuid        not null,
    actor   text        not null,
    changes jsonb       not null,
    primary key (account, entity, subject, kind, at, id)
);

-- How many cards there are and what they sum up to. The zero id is nobody, the empty currency no amount.
create table card_count (
    account     text    not null,
    pipeline    uuid    not null,
    status      uuid    not null,
    responsible uuid    not null,
    currency    text    not null,
    cards       bigint  not null,
    amount      numeric not null,
    primary key (account, pipeline, status, responsible, currency)
);

-- What came and went since `card_count` was last brought up to date. Writers only append: they neither wait for each other
-- nor in a circle. The counts are the sums of both.
create table card_count_change (
    id          bigint generated always as identity primary key,
    account     text    not null,
    pipeline    uuid    not null,
    status      uuid    not null,
    responsible uuid    not null,
    currency    text    not null,
    cards       bigint  not null,
    amount      numeric not null
);

create index card_count_change_by_pipeline on card_count_change (account, pipeline);

-- Kept by the database, so that no way of changing a card is forgotten.
create function count_cards() returns trigger language plpgsql as $$
declare
    nobody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    if tg_op = 'INSERT' then
        insert into card_count_change (account, pipeline, status, responsible, currency, cards, amount)
        select n.account, n.pipeline, n.status, coalesce(n.responsible, nobody), coalesce(n.currency, ''), count(*),
               coalesce(sum(n.amount), 0)
        from new_rows n where n.deleted_at is null
        group by 1, 2, 3, 4, 5;
    elsif tg_op = 'DELETE' then
        insert into card_count_change (account, pipeline, status, responsible, currency, cards, amount)
        select o.account, o.pipeline, o.status, coalesce(o.responsible, nobody), coalesce(o.currency, ''), -count(*),
               -coalesce(sum(o.amount), 0)
        from old_rows o where o.deleted_at is null
        group by 1, 2, 3, 4, 5;
    else
        insert into card_count_change (account, pipeline, status, responsible, currency, cards, amount)
        select d.account, d.pipeline, d.status, coalesce(d.responsible, nobody), coalesce(d.currency, ''), sum(d.cards),
               coalesce(sum(d.amount), 0)
        from (select o.account, o.pipeline, o.status, o.responsible, o.currency, -1 as cards, -o.amount as amount
              from old_rows o where o.deleted_at is null
              union all
              select n.account, n.pipeline, n.status, n.responsible, n.currency, 1, n.amount
              from new_rows n where n.deleted_at is null) d
        group by 1, 2, 3, 4, 5
        having sum(d.cards) <> 0 or coalesce(sum(d.amount), 0) <> 0;
    end if;
    return null;
end
$$;

-- Creating them keeps writers away until the numbers below are committed.
create trigger card_counted_insert after insert on card
    referencing new table as new_rows for each statement execute function count_cards();
create trigger card_counted_update after update on card
    referencing old table as old_rows new table as new_rows for each statement execute function count_cards();
create trigger card_counted_delete after delete on card
    referencing old table as old_rows for each statement execute function count_cards();

insert into card_count (account, pipeline, status, responsible, currency, cards, amount)
select account, pipeline, status, coalesce(responsible, '00000000-0000-0000-0000-000000000000'), '', count(*), 0
from card where deleted_at is null
group by 1, 2, 3, 4;
