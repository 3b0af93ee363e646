-- The offer of a conversation that has ended stays: nobody took it. Only those of open ones are looked for.
create index chat_assignment_open_offers on chat_assignment (offer_end) where offer_end is not null and open;
drop index chat_assignment_offers;
