"""Triggers in the server's store: they count the changes of each experiment.

In one commit, a call that changes something raises the experiment's revision by one. A call with
new events of a stream also moves the stream forward. So the revision equals the number of times
that streams have moved. A call that is applied twice raises the revision once more. One kind of
call has no stream: a sender records the end of an arm whose process was killed. The triggers count
these calls, too.
"""

from pathlib import Path
from typing import Any

import apsw

__all__ = ["Audit", "begin_audit"]

_TRIGGERS = """
CREATE TABLE chaos_moves (experiment INTEGER NOT NULL, own INTEGER NOT NULL);
CREATE TRIGGER chaos_begun AFTER INSERT ON streams BEGIN
    INSERT INTO chaos_moves VALUES (new.experiment, ifnull(new.subject, '') = '');
END;
CREATE TRIGGER chaos_moved AFTER UPDATE OF last_sequence ON streams
WHEN new.last_sequence > old.last_sequence BEGIN
    INSERT INTO chaos_moves VALUES (new.experiment, ifnull(new.subject, '') = '');
END;
CREATE TABLE chaos_ends (experiment INTEGER NOT NULL);
CREATE TRIGGER chaos_ended AFTER UPDATE OF status ON arms
WHEN new.status = 4 AND old.status <> 4 BEGIN
    INSERT INTO chaos_ends VALUES (new.experiment);
END;
"""
_MOVES = """
SELECT revision, (SELECT count(*) FROM chaos_moves WHERE experiment = id AND NOT own)
    + (SELECT count(*) FROM chaos_ends WHERE experiment = id)
FROM experiments WHERE name = ?
"""
_STREAMS = "SELECT writer_id, last_sequence FROM streams"


class Audit:
    """The content of a store, read from its file when no server has it open."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def integrity(self) -> str:
        """Returns the faults that SQLite finds in the file, or `ok`."""
        return str(self._connection.pragma("integrity_check"))

    def moves(self, experiment: str) -> tuple[int, int]:
        """Returns an experiment's revision, and the number of stream moves and recorded ends."""
        revision, moves = self._connection.execute(_MOVES, (experiment,)).get
        return int(revision), int(moves)

    def positions(self) -> dict[str, int]:
        """Returns the last sequence of each stream, by writer_id."""
        rows: list[Any] = self._connection.execute(_STREAMS).fetchall()
        return dict(rows)


def begin_audit(path: Path) -> None:
    """Adds the triggers to the file of a store, which no server may have open."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.execute(_TRIGGERS)
    connection.close()
