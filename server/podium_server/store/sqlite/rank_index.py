"""Keeps the scores of COMPLETED arms in order, and counts them, in the transactions that write.

An arm that is training pays nothing for it: its scores enter the order when it completes.
"""

from collections import defaultdict
from typing import Any

import apsw
from podium.scoring import NAN_KEY, sort_key

from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch
from podium_server.store.sqlite.rank_index_reader import SOURCE

__all__ = ["RankWriter"]

_Entry = tuple[str, str, int, int, str, str]
"""A score of an arm: eval name, key, value, origin, the eval that it is of, its benchmark."""

_ENTRIES = (
    f"SELECT s.eval_name, s.key, s.value, s.origin, {SOURCE} "
    "FROM arms a JOIN scores s ON s.experiment = a.experiment AND s.arm = a.ordinal "
    "WHERE a.experiment = ? AND a.ordinal = ?"
)
_PUT = "INSERT INTO ranks VALUES (?,?,?,?,?)"
_DROP = (
    "DELETE FROM ranks WHERE experiment = ? AND eval_name = ? AND key = ? AND sort_key = ? "
    "AND arm = ?"
)
_NOTE = "INSERT OR REPLACE INTO rank_changes VALUES (?,?)"
_COUNT = (
    "INSERT INTO rank_counts VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
    "numbers = numbers + excluded.numbers, nans = nans + excluded.nans"
)
_FORGET = (
    "DELETE FROM rank_counts WHERE experiment = ? AND eval_name = ? AND key = ? AND origin = ? "
    "AND source = ? AND benchmark_id = ? AND numbers = 0 AND nans = 0"
)


class RankWriter:
    """The order and the counts, within one transaction; counts are written by `finish`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._counts: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
        self._revisions: dict[int, int] = {}

    def entries(self, experiment: int, ordinal: int) -> set[_Entry]:
        """What an arm is ranked by while it is COMPLETED, as stored at present."""
        return set(fetch(self._connection, _ENTRIES, (experiment, ordinal)))

    def note(self, experiment: int, revision: int | None) -> None:
        """Notes that a COMPLETED arm changed, or one that was so before."""
        if revision is not None:
            self._revisions[experiment] = revision

    def replace(
        self, experiment: int, ordinal: int, before: set[_Entry], after: set[_Entry]
    ) -> None:
        """Takes what an arm was ranked by out of the order, and puts in what it now is."""
        for statement, entries, one in (
            (_DROP, before - after, -1),
            (_PUT, after - before, 1),
        ):
            for eval_name, key, value, origin, source, benchmark_id in entries:
                place = sort_key(codec.value_from(value))
                self._connection.execute(statement, (experiment, eval_name, key, place, ordinal))
                count = self._counts[experiment, eval_name, key, origin, source, benchmark_id]
                count[place == NAN_KEY] += one

    def remove_experiment(self, experiment: int) -> None:
        """Forgets an experiment."""
        for table in ("ranks", "rank_counts"):
            self._connection.execute(f"DELETE FROM {table} WHERE experiment = ?", (experiment,))
        for counted in [place for place in self._counts if place[0] == experiment]:
            del self._counts[counted]

    def finish(self) -> None:
        """Writes the counts, and when they last changed."""
        for change in self._revisions.items():
            self._connection.execute(_NOTE, change)
        for place, counts in self._counts.items():
            if any(counts):
                self._connection.execute(_COUNT, (*place, *counts))
            if min(counts) < 0:
                self._connection.execute(_FORGET, place)
