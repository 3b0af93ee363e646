-- Contacts and companies that come by files: many at once, and named as people name them.

-- Rows of files name companies by their names.
create index company_by_name on company (account, name) where deleted_at is null;

-- By their phones and addresses contacts are found that may be one person, the oldest first: asked for every one that is made,
-- a million words in one index are too slow, and sort all that have a switchboard's number to find the first of them.
create table contact_point (
    account    text        not null,
    point      text        not null,
    created_at timestamptz not null,
    contact    uuid        not null,
    primary key (account, point, created_at, contact)
);

-- Kept by the database, so that no way of changing a contact is forgotten.
create function keep_contact_points() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        delete from contact_point p using old_rows o, new_rows n
        where n.account = o.account and n.id = o.id
          and (n.phones, n.emails, n.deleted_at) is distinct from (o.phones, o.emails, o.deleted_at)
          and p.account = o.account and p.point = any(o.phones || o.emails) and p.created_at = o.created_at
          and p.contact = o.id;
        insert into contact_point (account, point, created_at, contact)
        select distinct n.account, p.point, n.created_at, n.id
        from old_rows o join new_rows n on n.account = o.account and n.id = o.id
        cross join lateral unnest(n.phones || n.emails) p(point)
        where (n.phones, n.emails, n.deleted_at) is distinct from (o.phones, o.emails, o.deleted_at)
          and n.deleted_at is null
        on conflict do nothing;
    else
        insert into contact_point (account, point, created_at, contact)
        select distinct n.account, p.point, n.created_at, n.id
        from new_rows n cross join lateral unnest(n.phones || n.emails) p(point)
        where n.deleted_at is null
        on conflict do nothing;
    end if;
    return null;
end
$$;

-- Creating them keeps writers away until the rows below are committed.
create trigger contact_pointed_insert after insert on contact
    referencing new table as new_rows for each statement execute function keep_contact_points();
create trigger contact_pointed_update after update on contact
    referencing old table as old_rows new table as new_rows for each statement execute function keep_contact_points();

insert into contact_point (account, point, created_at, contact)
select distinct c.account, p.point, c.created_at, c.id
from contact c cross join lateral unnest(c.phones || c.emails) p(point)
where c.deleted_at is null;
