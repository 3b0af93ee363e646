-- Copy of what assignment says of accounts: the language of what agents read of the system.
create table account (
    account  text primary key check (account <> ''),
    language text not null check (language in ('en', 'uk'))
);
