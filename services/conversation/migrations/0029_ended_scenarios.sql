-- A run that has ended needs its scenario no more: from now on it is dropped with the end, and here of those that ended before.
-- The column stays and stays filled while a run is under way, as replicas of an earlier version move it on by that. They read an
-- empty one of ended runs as a scenario without steps, of which nothing is shown.
do $$
begin
    if to_regclass('bot_run') is not null then
        update bot_run set body = '' where ended_at is not null and body <> '';
    end if;
end
$$;
