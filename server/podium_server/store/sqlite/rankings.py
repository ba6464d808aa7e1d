"""The rankings of the SQLite store: in the order that is kept, or over all arms.

COMPLETED arms whose scores all stand under one candidate are read in the kept order, at the
same price however many there are. Anything else looks at every arm.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from math import isnan
from typing import Any, NamedTuple, TypeVar

import apsw
from podium.scoring import order_key

from podium_server.store.contract import PageLimits
from podium_server.store.ranking_queries import (
    MemberRow,
    RankedRow,
    RankPage,
    RankPlace,
    RankQuery,
    RankSource,
    RankTally,
)
from podium_server.store.rows import COMPLETED, ExperimentRow, Origin
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch, fetch_value
from podium_server.store.sqlite.rank_index_reader import SCORED, SOURCE, RankIndexReader, ranked_row
from podium_server.store.sqlite.reads import Reader

__all__ = ["Ranker"]

T = TypeVar("T")
_Candidate = tuple[str | None, str]

_FEW_ARMS = 1_000
"""How many arms are looked at while others wait for it."""
_SCAN_ROWS = 2_000
"""How many arms a page looks at in search of those without a score."""

_SOURCES = (
    "SELECT origin, source, benchmark_id, numbers, nans FROM rank_counts "
    "WHERE experiment = ? AND eval_name = ? AND key = ?"
)
_WITHOUT = (
    "SELECT ordinal, name, status, group_name, status = ?5 AND NOT EXISTS (SELECT 1 FROM scores s "
    "WHERE s.experiment = a.experiment AND s.arm = a.ordinal AND s.eval_name = ?2 AND s.key = ?3) "
    "FROM arms a WHERE experiment = ?1 AND ordinal > ?4 ORDER BY ordinal"
)
_ARMS = "SELECT ordinal, status FROM arms WHERE experiment = ? ORDER BY ordinal"
_CHANGED = "SELECT revision FROM rank_changes WHERE experiment = ?"
_MEMBERS = (
    "SELECT ordinal, name, status, group_name, config_digest FROM arms WHERE experiment = ? "
    "ORDER BY ordinal"
)
_ARM = "SELECT name, status, group_name FROM arms WHERE experiment = ? AND ordinal = ?"
_VALUES = (
    f"SELECT a.ordinal, a.status, s.value, s.origin, {SOURCE} FROM arms a "
    "CROSS JOIN scores s ON s.experiment = a.experiment AND s.arm = a.ordinal "
    "WHERE a.experiment = ? AND s.eval_name = ? AND s.key = ?"
)
_ONE = SCORED.format(key="0", ranks="", join="", rest="AND a.ordinal = ?4")


class _Found(NamedTuple):
    """The score of an arm, its candidate, and its source."""

    value: float
    candidate: _Candidate
    source: RankSource


class Ranker:
    """Rankings on a connection; within `one_state()` it sees one committed state."""

    def __init__(
        self, connection: apsw.Connection, one_state: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._connection = connection
        self._one_state = one_state
        self._reader = Reader(connection)

    def state(self, experiment: str) -> tuple[ExperimentRow, int]:
        """An experiment, and when a COMPLETED arm of it last changed."""
        with self._one_state():
            row = self._reader.experiment(experiment)
            return row, self._changed(row)

    def _changed(self, row: ExperimentRow) -> int:
        return fetch_value(self._connection, _CHANGED, (row.id,)) or 0

    def rank(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage | None:
        """A page of a ranking; None if that takes a look at very many arms."""
        with self._one_state():
            row = self._reader.experiment(experiment)
            page = self._in_kept_order(row, query, limits)
            if page is None and sum(row.counts) <= _FEW_ARMS:
                page = self._over_all(row, query, limits)
            return page

    def rank_slowly(self, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
        """A page of a ranking, whatever it takes."""
        with self._one_state():
            row = self._reader.experiment(experiment)
            return self._in_kept_order(row, query, limits) or self._over_all(row, query, limits)

    def is_small(self, experiment: str) -> bool:
        """Whether an experiment has so few arms that each may be looked at."""
        return sum(self._reader.experiment(experiment).counts) <= _FEW_ARMS

    def members(
        self,
        experiment: str,
        query: RankQuery,
        fold: Callable[[Iterable[MemberRow], RankTally], T],
    ) -> T:
        """What `fold` makes of every arm."""
        with self._one_state():
            row = self._reader.experiment(experiment)
            scores = self._first_scores(row, query)
            return fold(self._members(row, scores), self._tally_of(scores, row, query))

    # ---- In the order that is kept -----------------------------------------------------

    def _in_kept_order(
        self, row: ExperimentRow, query: RankQuery, limits: PageLimits
    ) -> RankPage | None:
        """A page of COMPLETED arms; None where several candidates have scores of some."""
        if query.statuses != {COMPLETED}:
            return None
        found = {candidate: self._sources(row, candidate) for candidate in query.candidates}
        scored = [candidate for candidate, sources in found.items() if sources]
        if len(scored) > 1:
            return None
        # Where none has scores, any of them tells that of every arm.
        candidate = scored[0] if scored else query.candidates[0]
        page = RankPage([], None, self._tally(found[candidate], row, query))
        self._fill(page, _place(row, candidate), query, limits)
        return page

    def _sources(
        self, row: ExperimentRow, candidate: _Candidate
    ) -> dict[RankSource, tuple[int, int]]:
        found = fetch(self._connection, _SOURCES, _place(row, candidate))
        return {_source(*source): (numbers, nans) for *source, numbers, nans in found}

    def _fill(
        self, page: RankPage, place: tuple[int, str, str], query: RankQuery, limits: PageLimits
    ) -> None:
        order = RankIndexReader(self._connection, place, upward=query.direction == "minimize")
        with closing(order.rows(query.after)) as rows:
            for row in rows:
                if len(page.rows) == limits.rows:
                    page.next = page.rows[-1].place
                    return
                page.rows.append(ranked_row(row, order.key(row)))
        if page.tally.without_score:
            self._add_without_score(page, place, query, limits)

    def _add_without_score(
        self, page: RankPage, place: tuple[int, str, str], query: RankQuery, limits: PageLimits
    ) -> None:
        nothing = order_key(None)
        last = query.after.ordinal if query.after and query.after.key == nothing else -1
        looked_at = 0
        rows = self._connection.execute(_WITHOUT, (*place, last, COMPLETED))
        with closing(rows):
            for ordinal, name, status, group_name, belongs in rows:
                if len(page.rows) == limits.rows or looked_at == _SCAN_ROWS:
                    page.next = RankPlace(nothing, last)
                    return
                if belongs:
                    at = RankPlace(nothing, ordinal)
                    page.rows.append(RankedRow(at, name, status, group_name))
                last = ordinal
                looked_at += 1

    # ---- Over all arms -----------------------------------------------------------------

    def _over_all(self, row: ExperimentRow, query: RankQuery, limits: PageLimits) -> RankPage:
        """A page of arms of any statuses, after a look at each arm."""
        scores = self._first_scores(row, query)
        order = [
            RankPlace(order_key(None if found is None else found.value, query.direction), ordinal)
            for ordinal, status in fetch(self._connection, _ARMS, (row.id,))
            if status in query.statuses
            for found in [scores.get(ordinal)]
        ]
        order.sort()
        begin = 0 if query.after is None else bisect_right(order, query.after)
        end = begin + limits.rows
        rows = [self._load(row, place, scores) for place in order[begin:end]]
        following = order[end - 1] if end < len(order) else None
        return RankPage(rows, following, self._tally_of(scores, row, query))

    def _first_scores(self, row: ExperimentRow, query: RankQuery) -> dict[int, _Found]:
        """By ordinal, the score of each arm that is asked for, of the first candidate it has."""
        scores: dict[int, _Found] = {}
        sources: dict[tuple[Any, ...], RankSource] = {}
        for candidate in query.candidates:
            rows = self._connection.execute(_VALUES, _place(row, candidate))
            for ordinal, status, bits, *of in rows:
                if ordinal in scores or status not in query.statuses:
                    continue
                source = sources.get(tuple(of)) or sources.setdefault(tuple(of), _source(*of))
                scores[ordinal] = _Found(codec.value_from(bits), candidate, source)
        return scores

    def _members(self, row: ExperimentRow, scores: dict[int, _Found]) -> Iterator[MemberRow]:
        with closing(self._connection.execute(_MEMBERS, (row.id,))) as rows:
            for ordinal, *member in rows:
                found = scores.get(ordinal)
                score = (None, None) if found is None else (found.value, found.source.eval_name)
                yield MemberRow(*member, *score)

    def _tally_of(
        self, scores: dict[int, _Found], row: ExperimentRow, query: RankQuery
    ) -> RankTally:
        counts = Counter((found.source, isnan(found.value)) for found in scores.values())
        sources = {source: (counts[source, False], counts[source, True]) for source, _ in counts}
        return self._tally(sources, row, query)

    def _tally(
        self, sources: dict[RankSource, tuple[int, int]], row: ExperimentRow, query: RankQuery
    ) -> RankTally:
        """What became of all arms, of which these have scores."""
        scores = sum(numbers + nans for numbers, nans in sources.values())
        arms = sum(row.counts[status] for status in query.statuses)
        changed = row.revision
        if query.statuses == {COMPLETED}:
            changed = self._changed(row)
        return RankTally(row, changed, sources, arms - scores)

    def _load(self, row: ExperimentRow, place: RankPlace, scores: dict[int, _Found]) -> RankedRow:
        found = scores.get(place.ordinal)
        if found is None:
            [(name, status, group)] = fetch(self._connection, _ARM, (row.id, place.ordinal))
            return RankedRow(place, name, status, group)
        where = (*_place(row, found.candidate), place.ordinal)
        [values] = fetch(self._connection, _ONE, where)
        return ranked_row(values, place.key)


def _place(row: ExperimentRow, candidate: _Candidate) -> tuple[int, str, str]:
    """Where a candidate's scores are kept."""
    name, key = candidate
    return row.id or 0, name or "", key


def _source(origin: int, name: str, benchmark_id: str) -> RankSource:
    return RankSource(Origin(origin), name or None, benchmark_id or None)
