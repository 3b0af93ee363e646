-- Files that bots send (F187): those of its steps, which the gateway is told every day to keep.
alter table bot
    add column attachment_ids uuid[] not null default '{}',
    -- When the gateway was last told to keep the files; null where there are none.
    add column held_at timestamptz,
    add constraint bot_held_files check ((held_at is null) = (attachment_ids = '{}'));

create index bot_held on bot (held_at) where held_at is not null;
