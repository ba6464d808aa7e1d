"""Training series in PostgreSQL. The rows that are already known are not read."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from podium_server.store.postgres.known import KnownRows, Place
from podium_server.store.sql.connection import Connection
from podium_server.store.sql.points import PointTable

__all__ = ["BEFORE_ALL", "PostgresPoints", "ReadingConnection"]

BEFORE_ALL = -(2**63) - 1
"""A step that is less than every step."""

_POINTS = (
    "SELECT p.arm, p.step, p.content FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS BIGINT[])) "
    "AS u(arm, step) JOIN points p ON p.experiment = ?1 AND p.arm = u.arm AND p.step = u.step"
)
_LAST_STEPS = (
    "SELECT u.arm, (SELECT p.step FROM points p WHERE p.experiment = ?1 AND p.arm = u.arm "
    "ORDER BY p.step DESC LIMIT 1) FROM unnest(CAST(?2 AS BIGINT[])) AS u(arm)"
)


class ReadingConnection(Connection, Protocol):
    """A connection that collects rows before it writes them."""

    def read(self, statement: str, bindings: Sequence[Any]) -> list[Any]:
        """Returns the rows of a statement that reads none of the collected rows."""


class PostgresPoints(PointTable):
    """Reads and writes training series. `known` has the known rows of the experiment."""

    _connection: ReadingConnection
    known: KnownRows

    def load(self, place: int, wanted: Collection[tuple[Place, int]]) -> None:
        """Loads points of an experiment's arms. `wanted` has pairs of an arm and a step."""
        last_steps = self.known.last_steps
        unknown = list({at[1] for at, _ in wanted if at not in last_steps})
        if unknown:
            for arm, step in self._connection.read(_LAST_STEPS, (place, unknown)):
                self.known.put(last_steps, (place, arm), BEFORE_ALL if step is None else step)
        self._contents.update(dict.fromkeys(wanted, b""))
        earlier = [(at[1], step) for at, step in wanted if step <= last_steps.get(at, step)]
        if earlier:
            bindings = (list(column) for column in zip(*earlier, strict=True))
            for arm, step, content in self._connection.read(_POINTS, (place, *bindings)):
                self._contents[(place, arm), step] = content

    def at(self, place: Place, step: int) -> dict[str, float]:
        """Returns the values at a step, by key."""
        if step > self.known.last_steps.get(place, step):
            self._contents.setdefault((place, step), b"")
        return super().at(place, step)

    def note_new(self, place: Place) -> None:
        """Stores that a new arm has no points."""
        self._ids[place] = {}
        self.known.put(self.known.last_steps, place, BEFORE_ALL)

    def note_point(self, place: Place, step: int) -> None:
        """Updates the arm's known last step, because the transaction writes a point at `step`."""
        last = self.known.last_steps.get(place)
        if last is not None and step > last:
            self.known.put(self.known.last_steps, place, step)

    def _known(self, place: Place) -> dict[str, int]:
        if place not in self._ids and place in self.known.point_ids:
            self._ids[place] = self.known.point_ids[place].copy()
        return super()._known(place)

    def cut(self, place: Place, after: int) -> int:
        """Removes the points after a step. Returns the number of steps that had points."""
        self.known.remove(self.known.last_steps, place)
        return super().cut(place, after)

    def clear(self, place: Place) -> int:
        """Removes the series of an arm. Returns the number of steps that had points."""
        self.known.remove(self.known.last_steps, place)
        self.known.remove(self.known.point_ids, place)
        return super().clear(place)

    def settle(self) -> None:
        """Adds the loaded and written keys of the transaction to the known rows."""
        for place, ids in self._ids.items():
            self.known.put(self.known.point_ids, place, ids)
