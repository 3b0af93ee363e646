-- Words of messages are kept in pairs as well, by which phrases are found (see `domain::search::query`). All words are written anew, the
-- newest first, which takes some minutes for millions of messages; until then old messages are not found. A replica of the version
-- before, which may run beside for a while, writes no pairs: what it writes is found by its words and not by its phrases.
truncate message_words, message_words_begin;
insert into search_fill values ('messages', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
on conflict (what) do update set before = excluded.before;
