"""The rankings of SQL stores, from the rank index or over all arms.

A candidate is one way to read the name of the metric: an eval name (or None) and a key. If all
scores of the COMPLETED arms are of one candidate, a page is read from the rank index. The time for
that does not depend on the number of arms. Any other ranking reads every arm. A ranking by group
reads them in one statement if all scores are of one candidate.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from math import isnan
from typing import Any, NamedTuple, TypeVar

from podium.ranking import Member
from podium.scoring import order_key

from podium_server.store.contract import PageLimits
from podium_server.store.ranking_queries import (
    RankedRow,
    RankPage,
    RankPlace,
    RankQuery,
    RankSource,
    RankTally,
)
from podium_server.store.rows import COMPLETED, ExperimentRow, Origin
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch, fetch_value
from podium_server.store.sql.lists import all_arms
from podium_server.store.sql.rank_index import (
    SCORED,
    SOURCE,
    SOURCE_NAME,
    RankIndexReader,
    ranked_row,
)
from podium_server.store.sql.reads import Reader

__all__ = ["is_small", "members", "rank", "rank_slowly", "state"]

T = TypeVar("T")
_Candidate = tuple[str | None, str]

_FEW_ARMS = 1_000
"""The most arms that are read on the event loop. Other calls wait meanwhile."""
_BATCH = 500
"""The number of arms whose scores are converted at once: three times as fast as one by one."""
_SCAN_ROWS = 2_000
"""The most arms that a page reads to find arms without a score."""

_SOURCES = (
    "SELECT origin, source, benchmark_id, numbers, nans FROM rank_counts "
    "WHERE experiment = ? AND eval_name = ? AND key = ?"
)
_WITHOUT = (
    "SELECT ordinal, name, status, group_name, status = ?5 AND NOT EXISTS (SELECT 1 FROM scores s "
    "WHERE s.experiment = a.experiment AND s.arm = a.ordinal AND s.eval_name = ?2 AND s.key = ?3) "
    "FROM arms a WHERE experiment = ?1 AND ordinal > ?4 ORDER BY ordinal"
)
_CHANGED = "SELECT revision FROM rank_changes WHERE experiment = ?"
_MEMBER_COLUMNS = "ordinal, name, status, group_name, config_digest"
_SCORED_MEMBERS = (
    "SELECT a.name, a.status, a.group_name, a.config_digest, s.value, "
    f"nullif({SOURCE_NAME}, '') FROM arms a "
    "LEFT JOIN scores s ON s.experiment = a.experiment AND s.arm = a.ordinal "
    f"AND s.eval_name = ?2 AND s.key = ?3 AND a.status = {COMPLETED} "
    "WHERE a.experiment = ?1 ORDER BY a.ordinal"
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


def state(reader: Reader, experiment: str) -> tuple[ExperimentRow, int]:
    """Returns an experiment, and the last revision that changed one of its COMPLETED arms."""
    with reader.one_state():
        row = reader.experiment(experiment)
        return row, _changed(reader, row)


def _changed(reader: Reader, row: ExperimentRow) -> int:
    return fetch_value(reader.connection, _CHANGED, (row.id,)) or 0


def rank(reader: Reader, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage | None:
    """Returns a page of a ranking. Returns None if very many arms have to be read for it."""
    with reader.one_state():
        row = reader.experiment(experiment)
        page = _from_index(reader, row, query, limits)
        if page is None and sum(row.counts) <= _FEW_ARMS:
            page = _over_all(reader, row, query, limits)
        return page


def rank_slowly(reader: Reader, experiment: str, query: RankQuery, limits: PageLimits) -> RankPage:
    """Returns a page of a ranking, even if very many arms have to be read for it."""
    with reader.one_state():
        row = reader.experiment(experiment)
        return _from_index(reader, row, query, limits) or _over_all(reader, row, query, limits)


def is_small(reader: Reader, experiment: str) -> bool:
    """Returns whether an experiment has so few arms that all of them may be read."""
    return sum(reader.experiment(experiment).counts) <= _FEW_ARMS


def members(
    reader: Reader,
    experiment: str,
    query: RankQuery,
    fold: Callable[[Iterable[Member], RankTally], T],
) -> T:
    """Calls `fold` with the members of a ranking, and returns its result: see `Store.members`."""
    with reader.one_state():
        row = reader.experiment(experiment)
        candidate, tally = _indexed(reader, row, query)
        if tally is not None:
            return fold(_completed_members(reader, row, candidate), tally)
        shown = _shown(reader, row, query)
        scores = _first_scores(reader, row, query, shown)
        tally = _tally_of(reader, scores, row, query, shown)
        return fold(_members(reader, row, query, scores), tally)


# ---- From the rank index ------------------------------------------------------------


def _from_index(
    reader: Reader, row: ExperimentRow, query: RankQuery, limits: PageLimits
) -> RankPage | None:
    """Returns a page of COMPLETED arms. Returns None if the rank index cannot answer the query."""
    candidate, tally = _indexed(reader, row, query)
    if tally is None:
        return None
    page = RankPage([], None, tally)
    _fill(reader, page, _place(row, candidate), query, limits)
    return page


def _indexed(
    reader: Reader, row: ExperimentRow, query: RankQuery
) -> tuple[_Candidate, RankTally | None]:
    """Returns the only candidate with scores, and the tally from the counts of the rank index.

    The tally is None if the index cannot answer the query.
    """
    # If no candidate has scores, all of them give the same ranking.
    candidate = query.candidates[0]
    if not query.is_of_completed_arms:
        return candidate, None
    found = {each: sources for each in query.candidates if (sources := _sources(reader, row, each))}
    if len(found) > 1:
        return candidate, None
    candidate = next(iter(found), candidate)
    return candidate, _tally(reader, found.get(candidate, {}), row, query, row.counts)


def _sources(
    reader: Reader, row: ExperimentRow, candidate: _Candidate
) -> dict[RankSource, tuple[int, int]]:
    found = fetch(reader.connection, _SOURCES, _place(row, candidate))
    return {_source(*source): (numbers, nans) for *source, numbers, nans in found}


def _fill(
    reader: Reader,
    page: RankPage,
    place: tuple[int, str, str],
    query: RankQuery,
    limits: PageLimits,
) -> None:
    is_upward = query.direction == "minimize"
    order = RankIndexReader(reader.connection, place, reader.dialect.pieces, upward=is_upward)
    with closing(order.rows(query.after)) as rows:
        for row in rows:
            if len(page.rows) == limits.rows:
                page.next = page.rows[-1].place
                return
            page.rows.append(ranked_row(row, order.key(row)))
    if page.tally.without_score:
        _add_without_score(reader, page, place, query, limits)


def _add_without_score(
    reader: Reader,
    page: RankPage,
    place: tuple[int, str, str],
    query: RankQuery,
    limits: PageLimits,
) -> None:
    nothing = order_key(None)
    last = query.after.ordinal if query.after and query.after.key == nothing else -1
    looked_at = 0
    rows = reader.connection.execute(_WITHOUT, (*place, last, COMPLETED))
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


def _over_all(reader: Reader, row: ExperimentRow, query: RankQuery, limits: PageLimits) -> RankPage:
    """Returns a page of arms of any statuses. Reads every arm."""
    shown = _shown(reader, row, query)
    scores = _first_scores(reader, row, query, shown)
    order = [
        RankPlace(order_key(None if found is None else found.value, query.direction), ordinal)
        for ordinal, status in shown.items()
        if status in query.statuses
        for found in [scores.get(ordinal)]
    ]
    order.sort()
    begin = 0 if query.after is None else bisect_right(order, query.after)
    end = begin + limits.rows
    rows = [_load(reader, row, place, scores) for place in order[begin:end]]
    following = order[end - 1] if end < len(order) else None
    return RankPage(rows, following, _tally_of(reader, scores, row, query, shown))


def _shown(reader: Reader, row: ExperimentRow, query: RankQuery) -> dict[int, int]:
    """Returns the statuses of the arms that pass the filter, by ordinal, in order of creation."""
    columns = "ordinal, status"
    return dict(all_arms(reader.connection, reader.dialect, row.id, query.shown, columns))


def _first_scores(
    reader: Reader, row: ExperimentRow, query: RankQuery, shown: Mapping[int, int]
) -> dict[int, _Found]:
    """Returns the scores of the ranked arms by ordinal, without arms that have no score.

    The first candidate for which an arm has a score counts.
    """
    scores: dict[int, _Found] = {}
    sources: dict[tuple[Any, ...], RankSource] = {}
    for candidate in query.candidates:
        rows = reader.connection.execute(_VALUES, _place(row, candidate))
        for ordinal, status, bits, *of in rows:
            if ordinal in scores or ordinal not in shown or status not in query.statuses:
                continue
            source = sources.get(tuple(of)) or sources.setdefault(tuple(of), _source(*of))
            scores[ordinal] = _Found(codec.value_from(bits), candidate, source)
    return scores


def _members(
    reader: Reader, row: ExperimentRow, query: RankQuery, scores: dict[int, _Found]
) -> Iterator[Member]:
    with closing(
        all_arms(reader.connection, reader.dialect, row.id, query.shown, _MEMBER_COLUMNS)
    ) as rows:
        for ordinal, *member in rows:
            found = scores.get(ordinal)
            score = (None, None) if found is None else (found.value, found.source.eval_name)
            yield (*member, *score)


def _completed_members(
    reader: Reader, row: ExperimentRow, candidate: _Candidate
) -> Iterator[Member]:
    """Yields all arms as Members. Only COMPLETED arms have scores, all of one candidate."""
    with closing(reader.connection.execute(_SCORED_MEMBERS, _place(row, candidate))) as found:
        # Each iter() of PostgreSQL's result begins at the first row.
        rows = iter(found)
        while batch := list(islice(rows, _BATCH)):
            names, statuses, groups, digests, bits, sources = zip(*batch, strict=True)
            values = codec.values_from(bits)
            yield from zip(names, statuses, groups, digests, values, sources, strict=True)


def _tally_of(
    reader: Reader,
    scores: dict[int, _Found],
    row: ExperimentRow,
    query: RankQuery,
    shown: Mapping[int, int],
) -> RankTally:
    by_status = Counter(shown.values())
    counts = Counter((found.source, isnan(found.value)) for found in scores.values())
    sources = {source: (counts[source, False], counts[source, True]) for source, _ in counts}
    arms = tuple(by_status[status] for status in range(len(row.counts)))
    return _tally(reader, sources, row, query, arms)


def _tally(
    reader: Reader,
    sources: dict[RankSource, tuple[int, int]],
    row: ExperimentRow,
    query: RankQuery,
    counts: Sequence[int],
) -> RankTally:
    """Returns the tally of a ranking from the sources of its scores and the counts of its arms."""
    scores = sum(numbers + nans for numbers, nans in sources.values())
    arms = sum(counts[status] for status in query.statuses)
    changed = _changed(reader, row) if query.is_of_completed_arms else row.revision
    return RankTally(row, changed, counts, sources, arms - scores)


def _load(
    reader: Reader, row: ExperimentRow, place: RankPlace, scores: dict[int, _Found]
) -> RankedRow:
    found = scores.get(place.ordinal)
    if found is None:
        [(name, status, group)] = fetch(reader.connection, _ARM, (row.id, place.ordinal))
        return RankedRow(place, name, status, group)
    where = (*_place(row, found.candidate), place.ordinal)
    [values] = fetch(reader.connection, _ONE, where)
    return ranked_row(values, place.key)


def _place(row: ExperimentRow, candidate: _Candidate) -> tuple[int, str, str]:
    """Returns the eval name and key under which a candidate's scores are stored."""
    name, key = candidate
    return row.id or 0, name or "", key


def _source(origin: int, name: str, benchmark_id: str) -> RankSource:
    return RankSource(Origin(origin), name or None, benchmark_id or None)
