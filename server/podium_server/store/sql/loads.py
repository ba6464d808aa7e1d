"""Loads the rows that calls need, and the rows that scores are derived from."""

from collections.abc import Iterable
from typing import Any

from podium.scoring import precedence

from podium_server.store.calls import ArmNeeds, LoadedArm
from podium_server.store.rows import EvalKey, EvalRow, ExperimentRow, StreamRow
from podium_server.store.sql import codec
from podium_server.store.sql.connection import Connection, fetch, fetch_value
from podium_server.store.sql.points import PointTable

__all__ = ["Loader"]

_Place = tuple[int, int]
"""An arm: the id of its experiment, and its ordinal."""

_FIND_EXPERIMENT = f"SELECT {codec.EXPERIMENT_COLUMNS} FROM experiments WHERE name = ?"
_FIND_STREAM = f"SELECT {codec.STREAM_COLUMNS} FROM streams WHERE experiment = ? AND writer_id = ?"
_FIND_PART = "SELECT content FROM arm_parts WHERE experiment = ? AND arm = ? AND part = ?"
_FIND_EVAL = (
    f"SELECT {codec.EVAL_COLUMNS} FROM evals "
    "WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_ALL_EVALS = (
    f"SELECT {codec.EVAL_COLUMNS.replace('content', 'zeroblob(0)')} FROM evals "
    "WHERE experiment = ? AND arm = ?"
)
_CONTENT_OF_SIZE = (
    "SELECT content FROM evals WHERE experiment = ? AND arm = ? AND name = ? AND post = ? "
    "AND step = ? AND length(content) = ?"
)
_ANSWERING = (
    f"SELECT {codec.EVAL_COLUMNS} FROM evals WHERE experiment = ? AND arm = ? AND name = ? "
    "ORDER BY post DESC, step DESC LIMIT 1"
)
_FIRST_POST_TRAINING = (
    f"SELECT {codec.EVAL_COLUMNS} FROM evals WHERE experiment = ? AND arm = ? AND post = 1 "
    "AND primary_class IS NOT NULL ORDER BY primary_class, position LIMIT 1"
)
_FIRST_IN_LOOP = (
    f"SELECT {codec.EVAL_COLUMNS} FROM evals WHERE experiment = ? AND arm = ? "
    "AND primary_class IS NOT NULL ORDER BY position LIMIT 1"
)
_COUNT_EVALS = "SELECT count(*) FROM evals WHERE experiment = ? AND arm = ?"
_NAMES = (
    "SELECT eval_name FROM scores WHERE experiment = ? AND arm = ? AND eval_name != '' UNION "
    "SELECT name FROM evals WHERE experiment = ? AND arm = ?"
)


class Loader:
    """Looks up rows in the open transaction of the connection.

    `columns` is a cache: the column values of the arms that the transaction has loaded or written.
    """

    def __init__(self, connection: Connection, points: PointTable) -> None:
        self._connection = connection
        self._points = points
        self.columns: dict[_Place, tuple[Any, ...]] = {}

    def experiment(self, name: str) -> ExperimentRow | None:
        """Returns the row of an experiment without its content, or None if there is none."""
        for columns in fetch(self._connection, _FIND_EXPERIMENT, (name,)):
            return codec.experiment_from(columns)
        return None

    def content(self, experiment: ExperimentRow) -> bytes | None:
        """Returns the content of an experiment, or None if it has none."""
        content: bytes | None = fetch_value(self._connection, codec.FIND_CONTENT, (experiment.id,))
        return content

    def stream(self, experiment: int, writer_id: str) -> StreamRow | None:
        """Returns the stream of a writer, or None."""
        for columns in fetch(self._connection, _FIND_STREAM, (experiment, writer_id)):
            return codec.stream_from(columns)
        return None

    def arm(self, experiment: int, name: str, needs: ArmNeeds) -> LoadedArm | None:
        """Returns an arm with the parts and rows that are needed, or None."""
        columns = self.arm_columns(experiment, name)
        if columns is None:
            return None
        row = codec.arm_from(columns)
        place = (experiment, row.ordinal)
        self.columns[place] = columns
        parts = {part: self.part(place, part) for part in needs.parts}
        points = {step: self._points.at(place, step) for step in needs.point_steps}
        if needs.all_rows:
            return LoadedArm(
                row,
                parts,
                self._all_rows(place, needs),
                points=points,
                has_points=self._points.has_any(place),
            )
        loaded = LoadedArm(row, parts, {}, {}, points)
        self._load_rows_of(place, needs.keys, loaded)
        return loaded

    def arm_columns(self, experiment: int, name: str) -> tuple[Any, ...] | None:
        """Returns the column values of an arm, or None."""
        found = fetch(self._connection, codec.FIND_ARM, (experiment, name))
        return found[0] if found else None

    def part(self, place: _Place, part: str) -> bytes:
        """Returns a part of an arm, or b"" if it is empty."""
        content: bytes | None = fetch_value(self._connection, _FIND_PART, (*place, part))
        return content or b""

    def answering(self, place: _Place, name: str) -> EvalRow | None:
        """Returns the row that `eval(name)` returns without a step, or None."""
        return self._find(_ANSWERING, (*place, name))

    def first(self, place: _Place) -> EvalRow | None:
        """Returns the primary eval (the first row by class and position), or None."""
        return self._find(_FIRST_POST_TRAINING, place) or self._find(_FIRST_IN_LOOP, place)

    def names(self, place: _Place) -> list[str]:
        """Returns the names of an arm's evals that have scores or rows."""
        return [name for (name,) in fetch(self._connection, _NAMES, place * 2)]

    def count(self, place: _Place) -> int:
        """Returns the number of eval rows of an arm."""
        rows: int = fetch_value(self._connection, _COUNT_EVALS, place)
        return rows

    def _all_rows(self, place: _Place, needs: ArmNeeds) -> dict[EvalKey, EvalRow]:
        found = [codec.eval_from(values) for values in fetch(self._connection, _ALL_EVALS, place)]
        rows = {row.key: row for row in found}
        for key in needs.keys & rows.keys():
            [values] = fetch(self._connection, _FIND_EVAL, (*place, *codec.key_values(key)))
            rows[key] = codec.eval_from(values)
        for key in needs.sizes.keys() & rows.keys() - needs.keys:
            for size in needs.sizes[key]:
                wanted = (*place, *codec.key_values(key), size)
                content = fetch_value(self._connection, _CONTENT_OF_SIZE, wanted)
                rows[key].content = content or rows[key].content
        return rows

    def _load_rows_of(self, place: _Place, keys: Iterable[EvalKey], loaded: LoadedArm) -> None:
        """Loads the rows with these keys, and the rows that `eval(name)` returns for their names.

        No row comes after the one that `eval(name)` returns. So a later key needs no query.
        """
        last: dict[str, tuple[bool, int]] = {}
        for key in keys:
            name = key.name
            if name not in loaded.answering:
                newest = loaded.answering[name] = self.answering(place, name)
                if newest is not None:
                    last[name] = precedence(newest.key.step)
            if name not in last or precedence(key.step) > last[name]:
                continue
            newest = loaded.answering[name]
            is_newest = newest is not None and newest.key == key
            row = newest if is_newest else self.row(place, key)
            if row is not None:
                loaded.rows[key] = row

    def row(self, place: _Place, key: EvalKey) -> EvalRow | None:
        """Returns the row with a key, or None."""
        return self._find(_FIND_EVAL, (*place, *codec.key_values(key)))

    def _find(self, statement: str, bindings: tuple[Any, ...]) -> EvalRow | None:
        for values in fetch(self._connection, statement, bindings):
            return codec.eval_from(values)
        return None
