"""The order in which the scores of COMPLETED arms are kept, read from any place in it."""

import math
from collections.abc import Generator
from contextlib import closing
from functools import lru_cache
from typing import Any

import apsw
from podium.scoring import NAN_KEY, OrderKey, order_key

from podium_server.store.ranking_queries import RankedRow, RankPlace, ScorePlace
from podium_server.store.rows import Origin
from podium_server.store.sqlite import codec

__all__ = ["SCORED", "SOURCE", "RankIndexReader", "ranked_row"]

SCORED = (
    "SELECT {key}, a.ordinal, a.name, a.status, a.group_name, s.value, s.benchmark_id, "
    "s.origin, s.key, s.step, s.eval_name, a.primary_name FROM {ranks} arms a {join} "
    "CROSS JOIN scores s ON s.experiment = a.experiment AND s.arm = a.ordinal "
    "WHERE a.experiment = ?1 AND s.eval_name = ?2 AND s.key = ?3 {rest}"
)
"""Scores of one candidate with their arms; the first column is a sort key."""
SOURCE = (
    "CASE WHEN s.origin > 2 THEN '' WHEN s.eval_name = '' THEN a.primary_name "
    "ELSE s.eval_name END, ifnull(s.benchmark_id, '')"
)
"""The name of the eval and the benchmark_id that a score `s` of an arm `a` is of, '' for none."""


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
"""Less than the sort key of every number."""
_NAN = order_key(math.nan)

_Row = tuple[Any, ...]


def ranked_row(row: _Row, key: OrderKey) -> RankedRow:
    """Returns a ranked arm from its place and the columns of `SCORED`."""
    _, ordinal, name, status, group_name, bits, benchmark_id, *source = row
    value, at = codec.value_from(bits), _score_place(*source)
    return RankedRow(RankPlace(key, ordinal), name, status, group_name, value, at, benchmark_id)


@lru_cache(256)
def _score_place(
    origin: int, key: str, step: int | None, eval_name: str, primary: str | None
) -> ScorePlace:
    """The same few places are where most scores stand."""
    name = (eval_name or primary) if codec.is_of_row(origin) else None
    return ScorePlace(Origin(origin), key, name, step)


class RankIndexReader:
    """The order of one candidate's scores, the smallest (`upward`) or the greatest first.

    Equal scores stand in order of their arms in both directions.
    """

    def __init__(
        self, connection: apsw.Connection, candidate: tuple[int, str, str], *, upward: bool
    ) -> None:
        self._connection = connection
        self._candidate = candidate
        self._upward = upward

    def key(self, row: _Row) -> OrderKey:
        """The place of a row of `SCORED` among others."""
        if row[0] == NAN_KEY:
            return _NAN
        return OrderKey(0, row[0] if self._upward else -row[0])

    def rows(self, after: RankPlace | None) -> Generator[_Row]:
        """The rows of `SCORED` behind a place: numbers, then NaN."""
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
        """The scores below one; those that are equal are read once more, in order of arms."""
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
        """The arms with one score, behind one of them."""
        return self._read(_RUN, sort_key, after)

    def _read(self, statement: str, *place: int) -> Generator[_Row]:
        with closing(self._connection.execute(statement, (*self._candidate, *place))) as rows:
            yield from rows
