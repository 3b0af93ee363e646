-- What an opening leads to is written in one transaction, under the locks of what it names, and nothing of that is ever taken away
-- (entities that are deleted stay as such). Looking each of these up again took about a quarter of the time of a decision.
alter table decision
    drop constraint decision_account_card_fkey,
    drop constraint decision_account_chat_fkey,
    drop constraint decision_account_contact_fkey;

alter table chat_card
    drop constraint chat_card_account_card_fkey,
    drop constraint chat_card_account_chat_fkey;

alter table card
    drop constraint card_account_chat_fkey;
