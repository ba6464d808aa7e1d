"""Training series. A row holds the values of all keys at one step of an arm.

So a logged step is one small write for any number of keys. A point takes 12 bytes: the number of
its key, and its value as a double.
"""

import struct
from collections.abc import Mapping

from podium_server.store.contract import Page, PageLimits
from podium_server.store.filters import SeriesFilter
from podium_server.store.rows import Points
from podium_server.store.sql.connection import Connection, fetch, fetch_value

__all__ = ["POINT_TABLES", "PointTable", "points_page"]

POINT_TABLES = ("points", "point_keys")
"""The tables that hold the training series of arms."""
_Place = tuple[int, int]
_POINT = struct.Struct("<Id")
_SCANNED_BYTES = 50_000 * _POINT.size
"""The most bytes that are read for a page. Then the page ends, with the place to continue from."""

_KEYS = "SELECT id, key FROM point_keys WHERE experiment = ? AND arm = ?"
_PUT_KEY = "INSERT INTO point_keys VALUES (?,?,?,?)"
_AT = "SELECT content FROM points WHERE experiment = ? AND arm = ? AND step = ?"
_ANY = "SELECT 1 FROM points WHERE experiment = ? AND arm = ? LIMIT 1"
_PUT = (
    "INSERT INTO points VALUES (?,?,?,?) "
    "ON CONFLICT (experiment, arm, step) DO UPDATE SET content = excluded.content"
)
_CLEAR = "DELETE FROM points WHERE experiment = ? AND arm = ?"
_CLEAR_KEYS = "DELETE FROM point_keys WHERE experiment = ? AND arm = ?"
_RANGE = (
    "SELECT step, content FROM points WHERE experiment = ? AND arm = ? AND step BETWEEN ? AND ? "
    "ORDER BY step"
)


class PointTable:
    """Reads and writes the series of arms in the open transaction.

    Caches the keys and the points that the transaction has read or written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[_Place, dict[str, int]] = {}
        self._contents: dict[tuple[_Place, int], bytes] = {}

    def at(self, place: _Place, step: int) -> dict[str, float]:
        """Returns the values at a step, by key."""
        content = self._contents.get((place, step))
        if content is None:
            content = fetch_value(self._connection, _AT, (*place, step)) or b""
            self._contents[place, step] = content
        if not content:
            return {}
        keys = {identity: key for key, identity in self._known(place).items()}
        return {keys[identity]: value for identity, value in _POINT.iter_unpack(content)}

    def has_any(self, place: _Place) -> bool:
        """Returns whether an arm has points."""
        return bool(fetch(self._connection, _ANY, place))

    def put(self, place: _Place, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of some keys at a step. The values of other keys are kept."""
        merged = self.at(place, step) | dict(values)
        content = b"".join(_POINT.pack(self._id(place, key), merged[key]) for key in merged)
        self._contents[place, step] = content
        self._put(place, step, content)

    def _put(self, place: _Place, step: int, content: bytes) -> None:
        self._connection.execute(_PUT, (*place, step, content))

    def _put_key(self, place: _Place, identity: int, key: str) -> None:
        self._connection.execute(_PUT_KEY, (*place, identity, key))

    def cut(self, place: _Place, after: int) -> int:
        """Removes the points after a step. Returns the number of steps that had points."""
        self._contents.clear()
        return self._remove(f"{_CLEAR} AND step > ?", (*place, after))

    def clear(self, place: _Place) -> int:
        """Removes the series of an arm. Returns the number of steps that had points."""
        self._ids.pop(place, None)
        self._contents.clear()
        self._connection.execute(_CLEAR_KEYS, place)
        return self._remove(_CLEAR, place)

    def _remove(self, statement: str, bindings: tuple[int, ...]) -> int:
        return sum(1 for _ in self._connection.execute(f"{statement} RETURNING 1", bindings))

    def forget(self) -> None:
        """Clears the cached keys and points of arms, because some were removed."""
        self._ids.clear()
        self._contents.clear()

    def _known(self, place: _Place) -> dict[str, int]:
        known = self._ids.get(place)
        if known is None:
            found = fetch(self._connection, _KEYS, place)
            known = self._ids[place] = {key: identity for identity, key in found}
        return known

    def _id(self, place: _Place, key: str) -> int:
        known = self._known(place)
        identity = known.get(key)
        if identity is None:
            identity = known[key] = len(known)
            self._put_key(place, identity, key)
        return identity


def points_page(
    connection: Connection,
    place: _Place,
    first: int,
    limits: PageLimits,
    shown: SeriesFilter,
    revision: int,
) -> Page[Points]:
    """Returns a page of the points of an arm's training series, beginning at a step."""
    keys = {
        identity: key
        for identity, key in fetch(connection, _KEYS, place)
        if not shown.keys or key in shown.keys
    }
    page: Page[Points] = Page([], None, revision)
    count = scanned = 0
    for step, content in connection.execute(_RANGE, (*place, first, shown.max_step)):
        if count >= limits.rows or scanned >= _SCANNED_BYTES:
            page.next = step
            break
        scanned += len(content)
        values = {keys[i]: value for i, value in _POINT.iter_unpack(content) if i in keys}
        if values:
            page.items.append(Points(step, values))
            count += len(values)
    return page
