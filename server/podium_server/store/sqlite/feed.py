"""The change feed of the SQLite store. It merges three indexes that are ordered by revision."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from typing import Any

from podium_server.store.changes import Change, ChangedRow, ChangePage, ChangePlace, Removal
from podium_server.store.contract import PageLimits
from podium_server.store.rows import ArmView, ExperimentRow
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch, fetch_value
from podium_server.store.sqlite.reads import Reader

__all__ = ["changes"]

_REMOVAL, _ARM, _ROW = range(3)
_Found = tuple[Any, ...]
"""A revision, a kind, and the key of an item of that kind."""

_REMOVALS = (
    "SELECT revision, 0, arm, eval_name, post, step FROM removals WHERE experiment = ? AND "
    "(revision, arm, eval_name, post, step) > (?, ?, ?, ?, ?) "
    "ORDER BY revision, arm, eval_name, post, step"
)
_ARMS = (
    "SELECT revision, 1, ordinal FROM arms WHERE experiment = ? AND (revision, ordinal) > (?, ?) "
    "ORDER BY revision, ordinal"
)
_ROWS = (
    "SELECT revision, 2, arm, name, post, step FROM evals WHERE experiment = ? AND "
    "(revision, arm, name, post, step) > (?, ?, ?, ?, ?) ORDER BY revision, arm, name, post, step"
)
_ARM_AT = f"SELECT {codec.ARM_COLUMNS} FROM arms WHERE experiment = ? AND ordinal = ?"
_ARM_OF_ROW = "SELECT name, status, group_name FROM arms WHERE experiment = ? AND ordinal = ?"
_ROW_AT = (
    "SELECT position, content, stamp FROM evals "
    "WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_IDENTITY = "SELECT lower(hex(id)) FROM identity"
_FIRST: dict[int, tuple[Any, ...]] = {
    _REMOVAL: ("", "", 0, -(2**63)),
    _ARM: (-1,),
    _ROW: (-1, "", 0, 0),
}
"""For each kind, a key that sorts before all its keys."""
_SOURCES = {_REMOVAL: _REMOVALS, _ARM: _ARMS, _ROW: _ROWS}


def changes(
    reader: Reader, experiment: str, after: int, place: ChangePlace | None, limits: PageLimits
) -> ChangePage:
    """Returns a page of the changes after a revision, beginning at a place."""
    with reader.one_state():
        row = reader.experiment(experiment)
        begun = place.begun if place else after or row.revision
        identity = fetch_value(reader.connection, _IDENTITY)
        page = ChangePage(row, f"{identity}-{row.id}-{row.deletion}")
        room, last = limits.size, place
        with ExitStack() as stack:
            for found in _found(reader, stack, row, after, begun, place):
                item, size = _load(reader, row.id or 0, found)
                room -= size
                if page.items and (len(page.items) == limits.rows or room < 0):
                    page.next = last
                    break
                page.items.append(item)
                last = ChangePlace(begun, found[0], found[1], found[2:])
        return page


def _found(
    reader: Reader,
    stack: ExitStack,
    row: ExperimentRow,
    after: int,
    begun: int,
    place: ChangePlace | None,
) -> Iterator[_Found]:
    """Yields the changed items after a place, in order of revision and kind."""
    at = place or ChangePlace(begun, after, _ROW + 1, ())
    sources = []
    for kind, statement in _SOURCES.items():
        key = at.key if kind == at.kind else _FIRST[kind]
        revision = at.revision + 1 if kind < at.kind else at.revision
        if kind == _REMOVAL:
            revision, key = max((revision, key), (begun + 1, _FIRST[kind]))
        rows = reader.connection.execute(statement, (row.id, revision, *key))
        sources.append(stack.enter_context(closing(rows)))
    return merge(*sources, key=itemgetter(0, 1))


def _load(reader: Reader, experiment: int, found: _Found) -> tuple[Change, int]:
    """Loads an item. Returns the item and its size."""
    _, kind, *key = found
    if kind == _ARM:
        view = _arm(reader, experiment, *key)
        return view, view.size
    arm, name, post, step = key
    row = codec.key_from(name, post, step)
    if kind == _REMOVAL:
        return Removal(arm, row if name else None), len(arm) + len(name)
    [(position, content, stamp)] = fetch(reader.connection, _ROW_AT, (experiment, *key))
    [(name, *of_arm)] = fetch(reader.connection, _ARM_OF_ROW, (experiment, arm))
    return ChangedRow(name, row, content + stamp, position, *of_arm), len(content)


def _arm(reader: Reader, experiment: int, ordinal: int) -> ArmView:
    [columns] = fetch(reader.connection, _ARM_AT, (experiment, ordinal))
    return reader.view(experiment, codec.arm_from(columns))
