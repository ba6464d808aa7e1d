"""The change feed of SQL stores. It merges three indexes that are ordered by revision."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from typing import Any

from podium_server.store.changes import (
    Change,
    ChangedPoints,
    ChangedRow,
    ChangePage,
    ChangePlace,
    Removal,
)
from podium_server.store.contract import PageLimits
from podium_server.store.filters import SeriesFilter
from podium_server.store.rows import ArmRow
from podium_server.store.series_changes import FIRST_STEP, LAST_STEP, changed_from
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch, fetch_value
from podium_server.store.sql.points import points_page
from podium_server.store.sql.reads import Reader

__all__ = ["changes"]

_REMOVAL, _ARM, _ROW = range(3)
_Found = tuple[Any, ...]
"""The place of an item: its revision, its kind and its key.

For a row, its position, content and stamp follow. For points, the key is the key of their arm, and
the `ChangedPoints` follow.
"""
_KEY_END = 6
"""The index in the place of a row at which its key ends."""

_REMOVALS = (
    "SELECT revision, 0, arm, eval_name, post, step FROM removals WHERE experiment = ? AND "
    "(revision, arm, eval_name, post, step) > (?, ?, ?, ?, ?) "
    "ORDER BY revision, arm, eval_name, post, step LIMIT ?"
)
_ARMS = (
    "SELECT revision, 1, ordinal FROM arms WHERE experiment = ? AND (revision, ordinal) >= (?, ?) "
    "ORDER BY revision, ordinal LIMIT ?"
)
_ROWS = (
    "SELECT revision, 2, arm, name, post, step, position, content, stamp FROM evals "
    "WHERE experiment = ? AND (revision, arm, name, post, step) > (?, ?, ?, ?, ?) "
    "ORDER BY revision, arm, name, post, step LIMIT ?"
)
_SERIES_OF_ARM = (
    "SELECT name, status, group_name, p.content FROM arms LEFT JOIN arm_parts p "
    "ON p.experiment = arms.experiment AND p.arm = ordinal AND p.part = 'series' "
    "WHERE arms.experiment = ? AND ordinal = ?"
)
_PIECE = PageLimits(1_000, 0)
_POINT_BYTES = 16
_EMPTY_BYTES = 64 * 1024
"""The bytes for which a piece without points counts. Many points may have been read for it."""
_FIRST: dict[int, tuple[Any, ...]] = {
    _REMOVAL: ("", "", 0, -(2**63)),
    _ARM: (-1,),
    _ROW: (-1, "", 0, 0),
}
"""For each kind, a key that is sorted before all keys of the kind."""
_LOOKAHEAD = 2
"""The items that a page reads in addition: an arm whose points the previous page has begun, and one
item that shows that another page follows."""
_SOURCES = {_REMOVAL: _REMOVALS, _ARM: _ARMS, _ROW: _ROWS}


def changes(
    reader: Reader,
    experiment: str,
    after: int,
    place: ChangePlace | None,
    limits: PageLimits,
    series: SeriesFilter | None = None,
) -> ChangePage:
    """Returns a page of the changes after the revision `after`. The page begins after `place`."""
    with reader.one_state():
        row = reader.experiment(experiment)
        begun = place.begun if place else after or row.revision
        identity = fetch_value(reader.connection, reader.dialect.identity)
        page = ChangePage(row, f"{identity}-{row.id}-{row.deletion}")
        room, last = limits.size, place
        feed = _Feed(reader, row.id or 0, after, begun, series)
        with ExitStack() as stack:
            places = feed.found(stack, place, limits.rows)
            for found in reader.changes_ahead(row.id or 0, places):
                item, size = feed.load(found)
                room -= size
                if page.items and (len(page.items) == limits.rows or room < 0):
                    page.next = last
                    break
                page.items.append(item)
                key = (
                    (found[2], item.last) if isinstance(item, ChangedPoints) else found[2:_KEY_END]
                )
                last = ChangePlace(begun, found[0], found[1], key)
        return page


class _Feed:
    """The changes of an experiment after a revision, for one page.

    Args:
        reader: Reads the changes.
        experiment: The id of the experiment.
        after: The revision whose later changes are listed.
        begun: See `ChangePlace.begun`.
        series: The points to include, or None.
    """

    def __init__(
        self, reader: Reader, experiment: int, after: int, begun: int, series: SeriesFilter | None
    ) -> None:
        self._reader = reader
        self._experiment = experiment
        self._after, self._begun = after, begun
        self._series = series
        self._arms: dict[int, ArmRow] = {}

    def found(self, stack: ExitStack, place: ChangePlace | None, most: int) -> Iterator[_Found]:
        """Yields changed items after a place, in order of revision and kind.

        Reads at most `most` removals, arms and rows each, and a few more. `stack` closes
        the statements.
        """
        at = place or ChangePlace(self._begun, self._after, _ROW + 1, ())
        sources = []
        for kind, statement in _SOURCES.items():
            key = at.key if kind == at.kind else _FIRST[kind]
            revision = at.revision + 1 if kind < at.kind else at.revision
            if kind == _REMOVAL:
                revision, key = max((revision, key), (self._begun + 1, _FIRST[kind]))
            begin = key[:1] if kind == _ARM else key
            bindings = (self._experiment, revision, *begin, most + _LOOKAHEAD)
            rows: Any = self._reader.connection.execute(statement, bindings)
            stack.enter_context(closing(rows))
            if kind == _ARM:
                rows = self._with_points(rows, (revision, *key))
            sources.append(rows)
        return merge(*sources, key=itemgetter(0, 1))

    def _with_points(self, arms: Iterable[_Found], place: _Found) -> Iterator[_Found]:
        """Yields the arms after a place, each followed by the pieces of its changed series.

        The arm at the place comes first, with the pieces that the previous page did not have.
        """
        for found in arms:
            revision, _, ordinal = found
            is_known = (revision, ordinal) == place[:2]
            if not is_known:
                yield found
            if self._series is not None:
                done = next(iter(place[2:]), None) if is_known else None
                for piece in self._pieces(ordinal, done, self._series):
                    yield revision, _ARM, ordinal, piece

    def _pieces(
        self, ordinal: int, done: int | None, series: SeriesFilter
    ) -> Iterator[ChangedPoints]:
        """Yields the changed points of an arm in pieces.

        `done` is the last step on the previous page; None if that page had no points of the arm.
        """
        place, connection = (self._experiment, ordinal), self._reader.connection
        [(name, status, group_name, content)] = fetch(connection, _SERIES_OF_ARM, place)
        first = changed_from(content or b"", self._after) if self._after else FIRST_STEP
        if done is not None:
            first = None if done == LAST_STEP else done + 1
        is_first = done is None
        while first is not None:
            page = points_page(connection, place, first, _PIECE, series, 0)
            following = None if page.next is None else int(page.next)
            last = LAST_STEP if following is None else following - 1
            # Without points, the first piece still removes those that the consumer has.
            if page.items or following is not None or (self._after and is_first):
                yield ChangedPoints(name, first, last, page.items, status, group_name)
            first, is_first = following, False

    def load(self, found: _Found) -> tuple[Change, int]:
        """Loads an item. Returns the item and its size in bytes."""
        _, kind, *key = found
        if isinstance(key[-1], ChangedPoints):
            points = sum(len(values) for _, values in key[-1].points)
            return key[-1], _POINT_BYTES * points or _EMPTY_BYTES
        if kind == _ARM:
            view = self._reader.view(self._experiment, self._reader.arm_at(self._experiment, *key))
            return view, view.size
        arm, name, post, step, *values = key
        at = codec.key_from(name, post, step)
        if kind == _REMOVAL:
            return Removal(arm, at if name else None), len(arm) + len(name)
        position, content, stamp = values
        of = self._arm(arm)
        row = ChangedRow(of.name, at, content + stamp, position, of.status, of.group_name)
        return row, len(content)

    def _arm(self, ordinal: int) -> ArmRow:
        if ordinal not in self._arms:
            self._arms[ordinal] = self._reader.arm_at(self._experiment, ordinal)
        return self._arms[ordinal]
