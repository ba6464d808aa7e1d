"""The rank index has the scores of COMPLETED arms in order, and the number of scores by source.

The index is updated in the transactions that write arms. The scores of an arm are added when the
arm completes, so writes during training do not update the index.
"""

import math
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from podium.scoring import NAN_KEY, OrderKey, order_key, sort_key

from podium_server.store.ranking_queries import RankedRow, RankPlace, ScorePlace
from podium_server.store.rows import Origin
from podium_server.store.sql import codec
from podium_server.store.sql.connection import Connection, fetch

__all__ = ["SCORED", "SOURCE", "SOURCE_NAME", "RankIndexReader", "RankWriter", "ranked_row"]

SCORED = (
    "SELECT {key}, a.ordinal, a.name, a.status, a.group_name, s.value, s.benchmark_id, "
    "s.origin, s.key, s.step, s.eval_name, a.primary_name FROM {ranks} arms a {join} "
    "CROSS JOIN scores s ON s.experiment = a.experiment AND s.arm = a.ordinal "
    "WHERE a.experiment = ?1 AND s.eval_name = ?2 AND s.key = ?3 {rest}"
)
"""A statement that selects the scores of one candidate (see `RankQuery`) with their arms.

The first column is a sort key.
"""
SOURCE_NAME = (
    "CASE WHEN s.origin > 2 THEN '' WHEN s.eval_name = '' THEN a.primary_name ELSE s.eval_name END"
)
"""An SQL expression for the eval name of a score `s` of an arm `a`; '' if the score has none."""
SOURCE = f"{SOURCE_NAME}, coalesce(s.benchmark_id, '')"
"""SQL expressions for the eval name and the benchmark_id of a score; '' if the score has none."""
_Entry = tuple[str, str, int, int, str, str]
"""A score of an arm: eval name, key, value, origin, source eval, benchmark_id."""

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
_NOTE = (
    "INSERT INTO rank_changes VALUES (?,?) "
    "ON CONFLICT (experiment) DO UPDATE SET revision = excluded.revision"
)
_COUNT = (
    "INSERT INTO rank_counts VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (experiment, eval_name, key, origin, source, benchmark_id) DO UPDATE SET "
    "numbers = rank_counts.numbers + excluded.numbers, nans = rank_counts.nans + excluded.nans"
)
_FORGET = (
    "DELETE FROM rank_counts WHERE experiment = ? AND eval_name = ? AND key = ? AND origin = ? "
    "AND source = ? AND benchmark_id = ? AND numbers = 0 AND nans = 0"
)


class RankWriter:
    """Updates the index and its counts within one transaction. `finish` writes the counts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
        self._revisions: dict[int, int] = {}

    def entries(self, experiment: int, ordinal: int) -> set[_Entry]:
        """Returns the entries that an arm must have in the index while it is COMPLETED."""
        return set(fetch(self._connection, _ENTRIES, (experiment, ordinal)))

    def note(self, experiment: int, revision: int | None) -> None:
        """Stores the revision of a change of an arm that is or was COMPLETED. Ignores None.

        `finish` writes the revision.
        """
        if revision is not None:
            self._revisions[experiment] = revision

    def replace(
        self, experiment: int, ordinal: int, before: set[_Entry], after: set[_Entry]
    ) -> None:
        """Replaces the entries `before` of an arm by `after`."""
        for statement, entries, one in (
            (_DROP, before - after, -1),
            (_PUT, after - before, 1),
        ):
            rows = []
            for eval_name, key, value, origin, source, benchmark_id in entries:
                place = sort_key(codec.value_from(value))
                rows.append((experiment, eval_name, key, place, ordinal))
                count = self._counts[experiment, eval_name, key, origin, source, benchmark_id]
                count[place == NAN_KEY] += one
            self._connection.executemany(statement, rows)

    def remove_experiment(self, experiment: int) -> None:
        """Removes all entries and counts of an experiment."""
        for table in ("ranks", "rank_counts"):
            self._connection.execute(f"DELETE FROM {table} WHERE experiment = ?", (experiment,))
        for counted in [place for place in self._counts if place[0] == experiment]:
            del self._counts[counted]

    def finish(self) -> None:
        """Writes the changes of the counts, and the revisions that `note` has stored."""
        many, counts = self._connection.executemany, self._counts
        if not (counts or self._revisions):  # most calls do not touch a COMPLETED arm
            return
        many(_NOTE, list(self._revisions.items()))
        many(_COUNT, [(*place, *count) for place, count in counts.items() if any(count)])
        many(_FORGET, [place for place, count in counts.items() if min(count) < 0])


def _kept(rest: str) -> str:
    return SCORED.format(
        key="r.sort_key",
        ranks="ranks r CROSS JOIN",
        join="ON a.experiment = r.experiment AND a.ordinal = r.arm",
        rest=f"AND r.experiment = ?1 AND r.eval_name = ?2 AND r.key = ?3 AND {rest}",
    )


_RUN = _kept("r.sort_key = ?4 AND r.arm > ?5 ORDER BY r.arm")
_UPWARD = _kept(f"r.sort_key > ?4 AND r.sort_key < {NAN_KEY} ORDER BY r.sort_key, r.arm")
_DOWNWARD = _kept("r.sort_key < ?4 ORDER BY r.sort_key DESC, r.arm DESC")
_BELOW_ALL = -(2**63)
"""A sort key that is less than that of every number."""
_NAN = order_key(math.nan)

_Row = tuple[Any, ...]


def ranked_row(row: _Row, key: OrderKey) -> RankedRow:
    """Returns a ranked arm from its sort key and the columns of `SCORED`."""
    _, ordinal, name, status, group_name, bits, benchmark_id, *source = row
    value, at = codec.value_from(bits), _score_place(*source)
    return RankedRow(RankPlace(key, ordinal), name, status, group_name, value, at, benchmark_id)


@lru_cache(256)
def _score_place(
    origin: int, key: str, step: int | None, eval_name: str, primary: str | None
) -> ScorePlace:
    """Returns the source of a score. Sources are cached, since most scores share a few of them."""
    name = (eval_name or primary) if codec.is_of_row(origin) else None
    return ScorePlace(Origin(origin), key, name, step)


class RankIndexReader:
    """Reads the scores of one candidate in order, the smallest (`upward`) or the greatest first.

    In both directions, arms with equal scores are in order of creation. `pieces` are the
    `Dialect.pieces` of the database.
    """

    def __init__(
        self,
        connection: Connection,
        candidate: tuple[int, str, str],
        pieces: Sequence[int],
        *,
        upward: bool,
    ) -> None:
        self._connection = connection
        self._candidate = candidate
        self._pieces = pieces
        self._upward = upward

    def key(self, row: _Row) -> OrderKey:
        """Returns the sort key of a row that the statement `SCORED` selects."""
        if row[0] == NAN_KEY:
            return _NAN
        return OrderKey(0, row[0] if self._upward else -row[0])

    def rows(self, after: RankPlace | None) -> Generator[_Row]:
        """Yields the rows that `SCORED` selects after a place: numbers first, then NaN."""
        key, ordinal = after or RankPlace(OrderKey(0, 0), -1)
        if key.section == 0:
            yield from self._numbers(after)
            ordinal = -1
        if key.section <= 1:
            yield from self._run(NAN_KEY, ordinal)

    def _numbers(self, after: RankPlace | None) -> Generator[_Row]:
        if after is None:
            beyond = _BELOW_ALL if self._upward else NAN_KEY
        else:
            beyond = after.key.key if self._upward else -after.key.key
            yield from self._run(beyond, after.ordinal)
        yield from (self._read(_UPWARD, beyond) if self._upward else self._downward(beyond))

    def _downward(self, below: int | None) -> Generator[_Row]:
        """Yields the scores below a value, the greatest first.

        Here SQLite reads equal scores in reverse order of arms, so equal scores are read again in
        order.
        """
        while below is not None:
            tied = None
            with closing(self._read(_DOWNWARD, below)) as rows:
                before = next(rows, None)
                while before is not None and tied is None:
                    row = next(rows, None)
                    if row is not None and row[0] == before[0]:
                        tied = row[0]
                    else:
                        yield before
                    before = row
            if tied is not None:
                yield from self._run(tied, -1)
            below = tied

    def _run(self, sort_key: int, after: int) -> Generator[_Row]:
        """Yields the rows with a sort key, after the arm with the ordinal `after`."""
        return self._read(_RUN, sort_key, after)

    def _read(self, statement: str, *place: int) -> Generator[_Row]:
        """Yields the rows of a statement: the first pieces, then all others."""
        begin = 0
        for size in self._pieces:
            found = 0
            for row in self._piece(f"{statement} LIMIT {size} OFFSET {begin}", place):
                found += 1
                yield row
            if found < size:
                return
            begin += size
        yield from self._piece(f"{statement} OFFSET {begin}" if begin else statement, place)

    def _piece(self, statement: str, place: tuple[int, ...]) -> Generator[_Row]:
        with closing(self._connection.execute(statement, (*self._candidate, *place))) as rows:
            yield from rows
