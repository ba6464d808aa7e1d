"""The rows of experiments that a server knows from its last transactions.

Each transaction that writes to an experiment gives its row a new random `write_id`. As long as the
row has the `write_id` that this server gave it, no other server has changed the experiment. The
known rows then equal the stored ones. So most calls need no statement that reads.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from podium_server.store.rows import EvalRow, ExperimentRow, StreamRow
from podium_server.store.sql import codec

__all__ = ["KnownExperiments", "KnownRows", "Place"]

K = TypeVar("K")
V = TypeVar("V")
Place = tuple[int, int]
"""An arm: the id of its experiment, and its ordinal."""
_ENTRY_BYTES = 500
_KEY_BYTES = 100
_MOST_BYTES = 16 * 2**20
_ABSENT: Any = object()
_TAGS = codec.ARM_COLUMNS.split(", ").index("tags")


@dataclass(slots=True)
class KnownRows:
    """The known rows of an experiment. None in place of a row means that no such row exists.

    Only `put`, `remove` and `forget_arms` change the rows.

    Attributes:
        write_id: The known rows are valid while the experiment's row has this `write_id`.
        experiment: The row of the experiment.
        streams: Streams by writer id.
        arms: The column values of arms, by name.
        parts: Parts of arms, by arm and part name.
        answering: The rows that `eval(name)` returns, by arm and eval name.
        score_keys: The keys of an eval's scores, by arm and eval name.
        point_ids: The numbers of the keys of training series, by arm and key.
        last_steps: The last step of each arm's training series.
        size: An estimate of the size in memory, in bytes.
        is_contended: Whether another server writes to the experiment too.
    """

    write_id: int
    experiment: ExperimentRow | None = None
    streams: Mapping[str, StreamRow | None] = field(default_factory=dict)
    arms: Mapping[str, tuple[Any, ...] | None] = field(default_factory=dict)
    parts: Mapping[tuple[Place, str], bytes] = field(default_factory=dict)
    answering: Mapping[tuple[Place, str], EvalRow | None] = field(default_factory=dict)
    score_keys: Mapping[tuple[Place, str], frozenset[str]] = field(default_factory=dict)
    point_ids: Mapping[Place, dict[str, int]] = field(default_factory=dict)
    last_steps: Mapping[Place, int] = field(default_factory=dict)
    size: int = _ENTRY_BYTES
    is_contended: bool = False
    _undo: list[tuple[dict[Any, Any], Any, Any]] | None = None
    _before: tuple[Any, ...] = ()

    def begin(self) -> None:
        """Begins to record changes for `undo`. This takes the same time for any number of rows."""
        self._undo, self._before = [], tuple(getattr(self, name) for name in _STATE)

    def keep(self) -> None:
        """Keeps the changes since `begin`."""
        self._undo, self._before = None, ()

    def undo(self) -> None:
        """Undoes the changes since `begin`."""
        for rows, key, value in reversed(self._undo or ()):
            if value is _ABSENT:
                del rows[key]
            else:
                rows[key] = value
        for name, value in zip(_STATE, self._before, strict=True):
            setattr(self, name, value)
        self.keep()

    def put(self, rows: Mapping[K, V], key: K, value: V) -> None:
        """Stores a row. `rows` is one of the attributes."""
        changed, before = cast("dict[K, V]", rows), rows.get(key, _ABSENT)
        if self._undo is not None:
            self._undo.append((changed, key, before))
        changed[key] = value
        self.size += _size(value) - _size(before)

    def remove(self, rows: Mapping[K, V], key: K) -> None:
        """Forgets a row. `rows` is one of the attributes."""
        if key in rows:
            self.put(rows, key, _ABSENT)
            del cast("dict[K, V]", rows)[key]

    def forget_arms(self) -> None:
        """Forgets arms and streams, because some of their data was removed."""
        self.streams, self.arms, self.parts, self.answering = {}, {}, {}, {}
        self.score_keys, self.point_ids, self.last_steps = {}, {}, {}
        self.size = _ENTRY_BYTES


_STATE = tuple(each.name for each in fields(KnownRows) if not each.name.startswith("_"))


def _size(value: Any) -> int:
    """Estimates the size of a row and its entry, in bytes."""
    if value is _ABSENT:
        return 0
    if isinstance(value, bytes):
        return _ENTRY_BYTES + len(value)
    if isinstance(value, EvalRow):
        return _ENTRY_BYTES + len(value.content)
    if isinstance(value, frozenset | dict):
        return _ENTRY_BYTES + _KEY_BYTES * len(value) + sum(map(len, value))
    return _ENTRY_BYTES + (len(value[_TAGS]) if isinstance(value, tuple) else 0)


class KnownExperiments:
    """The known rows of the experiments that were written last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, KnownRows] = OrderedDict()
        self._size = 0

    def take(self, experiment: str) -> KnownRows | None:
        """Removes and returns the known rows of an experiment; None if nothing is known."""
        known = self._known.pop(experiment, None)
        if known is not None:
            self._size -= known.size
        return known

    def put(self, experiment: str, known: KnownRows) -> None:
        """Keeps the known rows of an experiment.

        While all known rows take too much memory, forgets the experiment that was put longest ago.
        """
        self.take(experiment)
        self._known[experiment] = known
        self._size += known.size
        while self._size > _MOST_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._size -= oldest.size
