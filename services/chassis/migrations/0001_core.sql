-- What a service keeps of assignment's evaluation of an agent's rights. The highest version wins.
create table chassis.agent_access (
    account text not null,
    agent   uuid not null,
    version bigint not null,
    record  jsonb not null,
    primary key (account, agent)
);

-- Answers to requests that carried a request id: the same id with the same content gets the same answer.
create table chassis.request (
    account      text not null check (account <> ''),
    method       text not null,
    request_id   text not null,
    request_hash bytea not null,
    response     bytea,
    created_at   timestamptz not null,
    primary key (account, method, request_id)
);

create index request_by_age on chassis.request (created_at);
