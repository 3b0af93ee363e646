-- Every key begins with the account: an id that two accounts happen to share never leads from one to the other.

create table pipeline (
    account    text        not null check (account <> ''),
    id         uuid        not null,
    name       text        not null check (name <> ''),
    created_at timestamptz not null,
    primary key (account, id)
);

create index pipeline_by_creation on pipeline (account, created_at, id);

-- The kind of a status never changes (D04), so cards may carry it beside the status.
create table status (
    account  text not null,
    id       uuid not null,
    pipeline uuid not null,
    position int  not null,
    name     text not null check (name <> ''),
    kind     text not null check (kind in ('new', 'in-progress', 'successful', 'rejected')),
    primary key (account, id),
    unique (account, pipeline, position),
    unique (account, pipeline, id, kind),
    foreign key (account, pipeline) references pipeline
);

-- Each pipeline has exactly one status in which cards begin (D04); the use case makes it at least one.
create unique index status_new on status (account, pipeline) where kind = 'new';

create table source (
    account    text        not null check (account <> ''),
    id         uuid        not null,
    name       text        not null check (name <> ''),
    created_at timestamptz not null,
    primary key (account, id)
);

-- Byte order, so that a page token means the same on every server.
create unique index source_by_name on source (account, name collate "C");

-- A channel's rule for creating cards (§6).
create table connection (
    account                text        not null check (account <> ''),
    channel                uuid        not null,
    mode                   text        not null
        check (mode in ('none', 'one-time', 'repeat', 'contact-without-cards')),
    pipeline               uuid,
    source                 uuid,
    scope                  text        not null check (scope in ('chat', 'client')),
    include_existing_chats boolean     not null,
    activated_at           timestamptz not null,
    updated_at             timestamptz not null,
    primary key (account, channel),
    foreign key (account, pipeline) references pipeline,
    foreign key (account, source) references source,
    check (mode = 'none' or pipeline is not null)
);

create table contact (
    account     text        not null check (account <> ''),
    id          uuid        not null,
    name        text        not null,
    buyer       boolean     not null default false,
    responsible uuid,
    stamp_time  timestamptz not null default '1970-01-01 00:00:00+00',
    stamp_event uuid        not null default '00000000-0000-0000-0000-000000000000',
    created_at  timestamptz not null,
    primary key (account, id)
);

create index contact_by_creation on contact (account, created_at desc, id desc);
create index contact_by_responsible on contact (account, responsible, created_at desc, id desc)
    where responsible is not null;

-- How messengers know a person. Inserting a row is the lock that makes one contact of two first messages (X02).
create table identity (
    account  text not null check (account <> ''),
    scope    text not null check (scope <> ''),
    user_id  text not null check (user_id <> ''),
    contact  uuid not null,
    name     text not null,
    username text not null,
    phone    text not null,
    email    text not null,
    language text not null,
    primary key (account, scope, user_id),
    -- The identity comes first: it is the lock under which the contact is made.
    foreign key (account, contact) references contact deferrable initially deferred
);

create index identity_by_contact on identity (account, contact);

-- Chats as CRM knows them: which contact writes there.
create table chat (
    account    text        not null check (account <> ''),
    id         uuid        not null,
    channel    uuid        not null,
    client     uuid        not null,
    contact    uuid        not null,
    created_at timestamptz not null,
    primary key (account, id),
    foreign key (account, contact) references contact
);

create index chat_by_contact on chat (account, contact);

create table card (
    account       text        not null check (account <> ''),
    id            uuid        not null,
    kind          text        not null check (kind in ('lead', 'deal')),
    title         text        not null,
    pipeline      uuid        not null,
    status        uuid        not null,
    status_kind   text        not null,
    source        uuid,
    source_detail text        not null default '',
    contact       uuid,
    chat          uuid,
    conversation  uuid,
    responsible   uuid,
    stamp_time    timestamptz not null default '1970-01-01 00:00:00+00',
    stamp_event   uuid        not null default '00000000-0000-0000-0000-000000000000',
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    deleted_at    timestamptz,
    primary key (account, id),
    foreign key (account, pipeline, status, status_kind) references status (account, pipeline, id, kind),
    foreign key (account, source) references source,
    foreign key (account, contact) references contact,
    foreign key (account, chat) references chat
);

-- One conversation never yields two cards (X01).
create unique index card_by_conversation on card (account, conversation) where conversation is not null;
create index card_by_contact on card (account, contact, status_kind) where deleted_at is null;
-- Lists ask for each kind of status by itself and merge, so that one kind among millions is found at once.
create index card_by_creation on card (account, status_kind, created_at desc, id desc) where deleted_at is null;
create index card_by_pipeline on card (account, pipeline, status_kind, created_at desc, id desc)
    where deleted_at is null;
create index card_by_responsible on card (account, responsible, status_kind, created_at desc, id desc)
    where deleted_at is null and responsible is not null;

-- Cards ever linked to a chat. Rows stay when a card is deleted: one-time counts them too (F009).
create table chat_card (
    account   text        not null,
    chat      uuid        not null,
    card      uuid        not null,
    linked_at timestamptz not null,
    primary key (account, chat, card),
    foreign key (account, chat) references chat,
    foreign key (account, card) references card
);

create index chat_card_by_card on chat_card (account, card);

-- Orders of buyers.
create table buyer_order (
    account    text        not null check (account <> ''),
    id         uuid        not null,
    number     bigint      not null check (number > 0),
    contact    uuid        not null,
    status     text        not null check (status in ('new', 'in-progress', 'successful', 'rejected')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account, id),
    unique (account, number),
    foreign key (account, contact) references contact
);

create index buyer_order_in_work on buyer_order (account, contact, number desc)
    where status in ('new', 'in-progress');

-- The last number given to an order, per account: its row is the lock that keeps numbers gapless.
create table order_number (
    account text   not null primary key check (account <> ''),
    last    bigint not null
);

-- What the pipeline connection decided: exactly one row per opened conversation, also for a skip (B06).
create table decision (
    account      text        not null check (account <> ''),
    conversation uuid        not null,
    number       bigint      not null,
    chat         uuid        not null,
    channel      uuid        not null,
    contact      uuid        not null,
    card         uuid,
    rule         text        not null check (rule in (
        'CONNECTION_OFF', 'OPENED_BY_AGENT', 'CHAT_OLDER_THAN_RULE', 'CARD_EVER_LINKED', 'CARD_IN_WORK',
        'ORDER_IN_WORK', 'CONTACT_HAS_CARDS', 'CONTACT_IS_BUYER',
        'FIRST_CARD_OF_CHAT', 'NOTHING_IN_WORK', 'CONTACT_WITHOUT_CARDS')),
    -- The rule and the facts as they were, whole.
    connection   jsonb       not null,
    facts        jsonb       not null,
    decided_at   timestamptz not null,
    primary key (account, conversation),
    foreign key (account, chat) references chat,
    foreign key (account, contact) references contact,
    foreign key (account, card) references card
);

create index decision_by_time on decision (account, decided_at desc, conversation desc);
create index decision_by_chat on decision (account, chat, decided_at desc, conversation desc);
create index decision_by_channel on decision (account, channel, decided_at desc, conversation desc);
create unique index decision_by_card on decision (account, card) where card is not null;

-- Responsibles of chats that overtook the decision of their conversation.
create table parked_responsible (
    account      text        not null check (account <> ''),
    conversation uuid        not null,
    agent        uuid        not null,
    stamp_time   timestamptz not null,
    stamp_event  uuid        not null,
    -- The event that brought it: cause and trace of what follows.
    cause        uuid        not null,
    traceparent  text,
    parked_at    timestamptz not null,
    primary key (account, conversation)
);

create index parked_responsible_by_age on parked_responsible (parked_at);
