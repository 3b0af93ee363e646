-- Agents who take part in a contact, a company or an order: to whom an internal message was sent there (F183). A card keeps its own
-- in a column.
create table entity_participants (
    account text   not null check (account <> ''),
    entity  text   not null check (entity in ('contact', 'company', 'order')),
    subject uuid   not null,
    -- Sorted.
    agents  uuid[] not null,
    primary key (account, entity, subject)
);
