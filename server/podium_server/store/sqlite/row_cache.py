"""What the writing connection remembers of rows that calls ask for again and again.

An entry is what the tables hold, as the transaction that is open sees it: whoever writes a row
says so here, and where nobody can say for certain (a transaction that was taken back, a
deletion, another program that wrote to the file) everything is forgotten. An entry is never
changed in place, so that what a call makes of its own copy, refused or not, harms nobody.
"""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from podium_server.store.rows import EvalRow

__all__ = ["CachedArm", "RowCache"]

Columns: TypeAlias = tuple[Any, ...]

_MOST_BYTES = 8 * 1024 * 1024
_ROW_BYTES = 700
"""What an entry takes beside its content, about."""
_KEY_BYTES = 100
_LARGE_BYTES = 4 * 1024
"""What takes more than this is not remembered."""


class CachedArm:
    """What is remembered of one arm.

    `columns` is its row, None as long as it is not written. `answering` has the row that answers
    for an eval name, or None where none does; `scored` the keys under which scores of an
    eval name are stored.
    """

    __slots__ = ("_row_cache", "answering", "columns", "parts", "scored")

    def __init__(self, memory: "RowCache", columns: Columns | None) -> None:
        self._row_cache = memory
        self.columns = columns
        self.parts: dict[str, bytes] = {}
        self.answering: dict[str, EvalRow | None] = {}
        self.scored: dict[str, AbstractSet[str]] = {}

    def keep_part(self, part: str, content: bytes) -> None:
        """Remembers a part that was loaded or written."""
        if self._row_cache.has_room(len(content)):
            self.parts[part] = content
        else:
            self.parts.pop(part, None)

    def keep_answering(self, name: str, row: EvalRow | None) -> None:
        """Remembers which row answers for a name."""
        if self._row_cache.has_room(0 if row is None else len(row.content)):
            self.answering[name] = row
        else:
            self.answering.pop(name, None)

    def keep_scored(self, name: str, keys: Collection[str]) -> None:
        """Remembers the keys of all scores of a name that are stored."""
        if self._row_cache.has_room(len(keys) * _KEY_BYTES):
            self.scored[name] = frozenset(keys)
        else:
            self.scored.pop(name, None)

    def forget_rows(self) -> None:
        """Rows were removed: which of them answer, and what scores there are, is not known."""
        self.answering.clear()
        self.scored.clear()


class RowCache:
    """Rows by the keys that calls know them by, within a bound of bytes."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self.experiments: dict[str, Columns] = {}
        self.streams: dict[tuple[int, str], Columns] = {}
        self.arms: dict[tuple[int, str], CachedArm] = {}
        self._most_bytes = most_bytes
        self._room = most_bytes

    def forget(self) -> None:
        """Begins anew."""
        self.experiments.clear()
        self.streams.clear()
        self.arms.clear()
        self._room = self._most_bytes

    def forget_if_full(self) -> None:
        """Begins anew when the bytes are used up: what is needed comes back by itself."""
        if self._room < 0:
            self.forget()

    def has_room(self, size: int = 0) -> bool:
        """Counts an entry of so many bytes; says whether it is to be remembered.

        An entry in the place of another counts once more: that is quick, and is made good
        when everything begins anew.
        """
        self._room -= _ROW_BYTES + size
        return self._room >= 0 and size <= _LARGE_BYTES

    def keep_experiment(self, name: str, columns: Columns) -> None:
        """Remembers an experiment that was loaded or written."""
        self.has_room()
        self.experiments[name] = columns

    def keep_stream(self, experiment: int, columns: Columns) -> None:
        """Remembers a stream that was loaded or written."""
        self.has_room()
        self.streams[experiment, columns[0]] = columns

    def keep_arm(self, experiment: int, name: str, columns: Columns | None) -> CachedArm:
        """Remembers an arm that was loaded, or is about to be written."""
        self.has_room()
        arm = self.arms[experiment, name] = CachedArm(self, columns)
        return arm
