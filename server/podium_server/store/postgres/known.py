"""The rows of experiments that a server knows from its last transactions.

Each transaction that writes to an experiment gives its row a new random `write_id`. As long as the
row has the `write_id` that this server gave it, no other server has changed the experiment. The
known rows then equal the stored ones. So most calls need no statement that reads.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from podium_server.store.rows import EvalRow, ExperimentRow, StreamRow

__all__ = ["KnownExperiments", "KnownRows", "Place"]

Place = tuple[int, int]
"""An arm: the id of its experiment, and its ordinal."""
_ENTRY_BYTES = 500
_MOST_BYTES = 16 * 2**20


@dataclass(slots=True)
class KnownRows:
    """The known rows of an experiment. None is a row that is known not to exist.

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
        contents: The total size of parts and rows in bytes.
        is_contended: Whether another server writes to the experiment too.
    """

    write_id: int
    experiment: ExperimentRow | None = None
    streams: dict[str, StreamRow | None] = field(default_factory=dict)
    arms: dict[str, tuple[Any, ...] | None] = field(default_factory=dict)
    parts: dict[tuple[Place, str], bytes] = field(default_factory=dict)
    answering: dict[tuple[Place, str], EvalRow | None] = field(default_factory=dict)
    score_keys: dict[tuple[Place, str], set[str]] = field(default_factory=dict)
    point_ids: dict[Place, dict[str, int]] = field(default_factory=dict)
    last_steps: dict[Place, int] = field(default_factory=dict)
    contents: int = 0
    is_contended: bool = False

    def copy(self) -> "KnownRows":
        """Returns a copy to which a transaction can add what it writes."""
        return KnownRows(
            self.write_id,
            self.experiment,
            self.streams.copy(),
            self.arms.copy(),
            self.parts.copy(),
            self.answering.copy(),
            self.score_keys.copy(),
            self.point_ids.copy(),
            self.last_steps.copy(),
            self.contents,
        )

    @property
    def size(self) -> int:
        """An estimate of the size in memory, in bytes."""
        entries = len(self.streams) + len(self.arms) + len(self.parts) + len(self.answering)
        return (entries + 1) * _ENTRY_BYTES + self.contents

    def set_part(self, place: Place, part: str, content: bytes) -> None:
        """Stores a part of an arm."""
        self.contents += len(content) - len(self.parts.get((place, part), b""))
        self.parts[place, part] = content

    def set_answering(self, place: Place, name: str, row: EvalRow | None) -> None:
        """Stores the row that `eval(name)` returns."""
        before = self.answering.get((place, name))
        self.contents += (len(row.content) if row else 0) - (len(before.content) if before else 0)
        self.answering[place, name] = row

    def forget_arms(self) -> None:
        """Forgets arms and streams, because some data of theirs was removed."""
        for each in (self.streams, self.arms, self.parts, self.answering, self.score_keys):
            each.clear()
        self.point_ids.clear()
        self.last_steps.clear()
        self.contents = 0


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
        """Keeps the known rows of an experiment. Forgets the oldest ones if there are too many."""
        self.take(experiment)
        self._known[experiment] = known
        self._size += known.size
        while self._size > _MOST_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._size -= oldest.size
