-- Roles, that many agents share, and groups of agents.

create table role (
    account         text not null references account,
    role_id         uuid not null,
    name            text not null,
    leads_create    boolean not null,
    leads_view      text not null check (leads_view in ('none', 'own', 'all')),
    contacts_create boolean not null,
    contacts_view   text not null check (contacts_view in ('none', 'own', 'all')),
    settings        boolean not null,
    revision        bigint not null,
    created_at      timestamptz not null,
    primary key (account, role_id)
);

create unique index role_by_name on role (account, name);

-- What a role grants is copied to its agents when either changes: their access is read from one row.
alter table agent add column role_id uuid;
alter table agent add constraint agent_role foreign key (account, role_id) references role (account, role_id);
create index agent_by_role on agent (account, role_id) where role_id is not null;

create table staff_group (
    account    text not null references account,
    group_id   uuid not null,
    name       text not null,
    revision   bigint not null,
    created_at timestamptz not null,
    primary key (account, group_id)
);

create unique index staff_group_by_name on staff_group (account, name);

create table group_member (
    account  text not null,
    group_id uuid not null,
    agent_id uuid not null,
    primary key (account, group_id, agent_id),
    foreign key (account, group_id) references staff_group on delete cascade,
    foreign key (account, agent_id) references agent
);

create index group_member_by_agent on group_member (account, agent_id);
