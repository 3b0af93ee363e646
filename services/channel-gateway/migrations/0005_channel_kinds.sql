-- Channels of all four providers. `token_sealed` holds what signs a channel in, as one value of its kind; a Telegram
-- bot's is its token, as it always was.
alter table channel drop constraint channel_kind_check;
alter table channel add constraint channel_kind_check
    check (kind in ('telegram-bot', 'viber-bot', 'instagram', 'email'));
