"""What the CRM keeps: who answers for which entity, and which of its own acts Switchboard has not heard of yet.

Of an entity there are two sides: what Switchboard told last, and an act of our own that is on its way. Whichever has the later
stamp is shown. When the answer to the act has come, what is in place there is what was told, and the act is done: so an event
that came between the two is not lost, and an act that was refused leaves nothing behind.
"""

import sqlite3
import threading

SCHEMA = """
create table if not exists responsible (
    entity text primary key, kind integer not null,
    agent text, time integer not null default 0, event text not null default '',
    act_agent text, act_time integer, act text);
create table if not exists seen (id text primary key);
create table if not exists report (number integer primary key, entity text, agent text, why text);
"""


class Table:
    """One file; each method is one transaction."""

    def __init__(self, file):
        self.lock = threading.Lock()
        self.rows = sqlite3.connect(file, check_same_thread=False)
        self.rows.executescript("pragma journal_mode = wal; pragma synchronous = full;" + SCHEMA)

    def told(self, kind, entity, agent, stamp, event_id=None):
        """Keeps what Switchboard says, over a lower stamp only. An event that was seen before is left out."""
        with self.lock, self.rows:
            if event_id:
                new = self.rows.execute("insert or ignore into seen values (?)", (event_id,)).rowcount
                if not new:
                    return
            self._told(kind, entity, agent, stamp)

    def _told(self, kind, entity, agent, stamp):
        self.rows.execute(
            "insert into responsible (entity, kind, agent, time, event) values (?, ?, ?, ?, ?) "
            "on conflict (entity) do update set agent = excluded.agent, time = excluded.time, event = excluded.event, "
            "kind = excluded.kind where (excluded.time, excluded.event) > (responsible.time, responsible.event)",
            (entity, kind, agent, *stamp),
        )

    def act(self, kind, entity, agent, stamp):
        """Somebody here says who answers for an entity."""
        with self.lock, self.rows:
            self.rows.execute(
                "insert into responsible (entity, kind, act_agent, act_time, act) values (?, ?, ?, ?, ?) "
                "on conflict (entity) do update "
                "set act_agent = excluded.act_agent, act_time = excluded.act_time, act = excluded.act",
                (entity, kind, agent, *stamp),
            )

    def unsent(self, most):
        """Acts whose answer has not come: entity, kind, agent, time, id."""
        with self.lock:
            asked = "select entity, kind, act_agent, act_time, act from responsible where act is not null limit ?"
            return self.rows.execute(asked, (most,)).fetchall()

    def done(self, act, in_place=None, why=None):
        """An act was answered: with what is in place now, or with why nothing changed."""
        entity, kind, agent, _, act_id = act
        with self.lock, self.rows:
            if in_place:
                self._told(kind, entity, *in_place)
            if why:
                self.rows.execute("insert into report (entity, agent, why) values (?, ?, ?)", (entity, agent, why))
            # A further act may have taken its place meanwhile: that one is on its way still.
            self.rows.execute(
                "update responsible set act = null, act_agent = null, act_time = null where entity = ? and act = ?",
                (entity, act_id),
            )

    def shown(self):
        """Who answers for what, as people here see it."""
        with self.lock:
            rows = self.rows.execute("select entity, agent, time, event, act_agent, act_time, act from responsible")
            people = {}
            for entity, agent, time, event, act_agent, act_time, act in rows:
                ours = act is not None and (act_time, act) > (time, event)
                people[entity] = {"agent": act_agent if ours else agent, "time": act_time if ours else time, "sent": act is None}
            reports = self.rows.execute("select entity, agent, why from report order by number").fetchall()
            return {"responsibles": people, "reports": [dict(zip(("entity", "agent", "why"), row)) for row in reports]}
