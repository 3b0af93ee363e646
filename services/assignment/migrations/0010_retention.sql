-- Choices are kept for a while, and what they looked at for as long as one of them refers to it.

-- When the look was last kept by a choice that did not know it: choices go on to refer to it for a while.
alter table assignment_look add column kept_at timestamptz not null default now();

create index assignment_look_by_age on assignment_look (kept_at);
create index assignment_choice_by_age on assignment_choice (time);
create index assignment_choice_by_look on assignment_choice (look_id) where look_id is not null;
