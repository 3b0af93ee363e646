-- Whoever follows a link without a cookie is a new visitor each time: of a day, and in all, so many rows are kept, and
-- beyond them only `clicks` rises.
alter table short_link
    -- Rows in link_click.
    add column visitors   integer not null default 0,
    -- The day on which the newest of them were added, and how many.
    add column counted_on date,
    add column counted    integer not null default 0;

update short_link set visitors = clicks;
