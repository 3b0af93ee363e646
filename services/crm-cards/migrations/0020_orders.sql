-- Orders with products, totals and custom fields, listed by whatever they belong to; what buyers have ordered, kept.

alter table buyer_order
    -- The chat it was created from.
    add column chat        uuid,
    add column currency    text,
    -- What the lines sum up to; zero without lines.
    add column amount      numeric(19, 4),
    -- Products, in order: [{"product", "sku", "quantity", "price"}], numbers as their digits.
    add column lines       jsonb not null default '[]',
    add column comment     text  not null default '',
    -- Values of custom fields by the ids of their definitions.
    add column fields      jsonb not null default '{}',
    -- The responsible of the buyer, by whom orders are seen (rights on contacts); kept by the triggers below.
    add column responsible uuid,
    add constraint buyer_order_money check ((amount is null) = (currency is null)),
    add constraint buyer_order_chat foreign key (account, chat) references chat;

update buyer_order o set responsible = c.responsible
from contact c where c.account = o.account and c.id = o.contact and c.responsible is not null;

-- Lists ask for each kind of status by itself and merge.
drop index buyer_order_in_work;
create index buyer_order_by_status on buyer_order (account, status, number desc);
create index buyer_order_by_contact on buyer_order (account, contact, status, number desc);
create index buyer_order_by_chat on buyer_order (account, chat, status, number desc) where chat is not null;
create index buyer_order_by_responsible on buyer_order (account, responsible, status, number desc)
    where responsible is not null;

create function order_responsible() returns trigger language plpgsql as $$
begin
    select c.responsible into new.responsible from contact c where c.account = new.account and c.id = new.contact;
    return new;
end
$$;

create trigger order_responsible_own before insert or update of contact on buyer_order
    for each row execute function order_responsible();

create function orders_responsible() returns trigger language plpgsql as $$
begin
    update buyer_order o set responsible = new.responsible where o.account = new.account and o.contact = new.id;
    return null;
end
$$;

create trigger order_responsible_followed after update of responsible on contact
    for each row when (old.responsible is distinct from new.responsible and new.buyer)
    execute function orders_responsible();

-- How many orders a buyer has and what they sum up to (F120). The empty currency is an order without a total. Whoever
-- changes an order holds the lock of its buyer, so that writers of a row never meet.
create table buyer_total (
    account  text    not null,
    contact  uuid    not null,
    status   text    not null,
    currency text    not null,
    orders   bigint  not null,
    amount   numeric not null,
    primary key (account, contact, status, currency)
);

-- Kept by the database, so that no way of changing an order is forgotten.
create function count_orders() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into buyer_total as t (account, contact, status, currency, orders, amount)
        select n.account, n.contact, n.status, coalesce(n.currency, ''), count(*), coalesce(sum(n.amount), 0)
        from new_rows n group by 1, 2, 3, 4 order by 1, 2, 3, 4
        on conflict (account, contact, status, currency) do update
        set orders = t.orders + excluded.orders, amount = t.amount + excluded.amount;
    else
        insert into buyer_total as t (account, contact, status, currency, orders, amount)
        select d.account, d.contact, d.status, d.currency, sum(d.orders), coalesce(sum(d.amount), 0)
        from (select o.account, o.contact, o.status, coalesce(o.currency, '') as currency, -1 as orders,
                     -o.amount as amount
              from old_rows o
              union all
              select n.account, n.contact, n.status, coalesce(n.currency, ''), 1, n.amount from new_rows n) d
        group by 1, 2, 3, 4
        having sum(d.orders) <> 0 or coalesce(sum(d.amount), 0) <> 0
        order by 1, 2, 3, 4
        on conflict (account, contact, status, currency) do update
        set orders = t.orders + excluded.orders, amount = t.amount + excluded.amount;
    end if;
    return null;
end
$$;

create trigger order_counted_insert after insert on buyer_order
    referencing new table as new_rows for each statement execute function count_orders();
create trigger order_counted_update after update on buyer_order
    referencing old table as old_rows new table as new_rows for each statement execute function count_orders();

insert into buyer_total (account, contact, status, currency, orders, amount)
select account, contact, status, '', count(*), 0 from buyer_order group by 1, 2, 3;
