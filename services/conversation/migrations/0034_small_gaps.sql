-- By message: what is gone in CRM notifies nobody any more (F182).
create index internal_notification_of_message on internal_notification (account, message_id) where not read;

-- Labels of chats by their channels: who sees some channels is shown the labels of their chats alone (B13, F062). A row for each
-- chat and no count: nobody who labels a chat waits for who labels another.
create table channel_label (
    account    text not null,
    channel_id uuid not null,
    key        text not null collate "C",
    chat_id    uuid not null,
    primary key (account, channel_id, key, chat_id)
);

-- Where labels came before this.
do $$
begin
    if to_regclass('chat_label') is not null then
        insert into channel_label (account, channel_id, key, chat_id)
        select l.account, c.channel_id, l.key, l.chat_id from chat_label l join chat c on c.chat_id = l.chat_id;
    end if;
end
$$;
