-- When the gateway was last told to keep a chat's image: what it is told of once it keeps for about a month.
alter table chat add column image_held_at timestamptz;

create index chat_image_held on chat (image_held_at) where image is not null;
