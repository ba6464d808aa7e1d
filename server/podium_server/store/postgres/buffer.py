"""Collects the rows that a transaction writes, and writes them with few statements.

Each statement is a round trip, so rows are not written one by one. All rows of all tables become
parts of one statement. Its first part, the guard, updates the row of the experiment. If the guard
finds that another transaction has changed the experiment, the statement changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from podium_server.store.rows import Origin
from podium_server.store.sql import codec

__all__ = [
    "PARTS",
    "POINTS",
    "POINT_KEYS",
    "STREAMS",
    "WriteBuffer",
]

_BYTES = {"content", "stamp", "digest", "config_digest"}
_TEXTS = {
    "attempt_id",
    "benchmark_id",
    "eval_name",
    "group_name",
    "key",
    "model_ref",
    "name",
    "owner",
    "part",
    "primary_name",
    "subject",
    "tags",
    "writer_id",
}


@dataclass(frozen=True, eq=False)
class Table:
    """A table whose rows are collected. Tables are compared by identity, which is faster.

    Attributes:
        name: The name of the table.
        columns: The names of the columns without `experiment`.
        key: The number of columns, from the first on, that identify a row of an experiment. A row
            that is stored already is updated. 0 means that all rows are stored already, and that
            the first column identifies them.
        condition: A WHERE clause: stored rows that do not fulfil it are not updated.
        shared: The indexes of columns in which many rows of a call have the same value.
        others: The names of the columns that are not in `shared`.
        is_new: Whether no row is stored yet, so that all rows are inserted.
    """

    name: str
    columns: tuple[str, ...]
    key: int
    condition: str = ""
    shared: tuple[int, ...] = ()
    others: tuple[str, ...] = ()
    is_new: bool = False


class _Shape(NamedTuple):
    """A table, and its columns that are bound as lists. Each other column has one value."""

    table: Table
    listed: tuple[str, ...]


def _table(name: str, columns: str, key: int, condition: str = "", shared: str = "") -> Table:
    names = tuple(columns.split(", "))
    places = tuple(at for at, each in enumerate(names) if each in shared.split(", "))
    others = tuple(each for at, each in enumerate(names) if at not in places)
    return Table(name, names, key, condition, places, others)


_SCORE_COLUMNS = "arm, eval_name, key, value, origin, step, benchmark_id"
STREAMS = _table("streams", codec.STREAM_COLUMNS, 1)
_ARM_COLUMNS = codec.ARM_COLUMNS.split(", ")
_ORDINAL = _ARM_COLUMNS.index("ordinal")
_ARMS = _table(
    "arms", ", ".join(("ordinal", *(name for name in _ARM_COLUMNS if name != "ordinal"))), 1
)
_MOVING = ("ordinal", "revision", "updated", "next_position", "eval_count", "last_heard")
_MOVED_ARMS = Table("arms", _MOVING, 0)
"""The table of arms, for stored arms of which only the columns in `_MOVING` change.

Most calls that record eval rows change only these columns.
"""
_moving = [_ARM_COLUMNS.index(name) for name in _MOVING]
_lasting = [at for at, name in enumerate(_ARM_COLUMNS) if name not in _MOVING]
PARTS = _table("arm_parts", "arm, part, content", 2)
_EVALS = _table(
    "evals",
    f"arm, {codec.EVAL_COLUMNS}",
    4,
    shared="arm, name, post, primary_class, model_ref, revision",
)
_NEW_EVALS = replace(_EVALS, is_new=True)
"""The table of eval rows, for new rows. Looking for stored rows first would double the time."""
POINTS = _table("points", "arm, step, content", 2, shared="arm")
POINT_KEYS = _table("point_keys", "arm, id, key", 2, shared="arm")
_OF_SCORES = "arm, eval_name, origin, step, benchmark_id"
_REPLACED_SCORES = _table("scores", _SCORE_COLUMNS, 3, shared=_OF_SCORES)
_TRAINING = int(Origin.TRAINING_METRICS)
_SCORES = _table(
    "scores",
    _SCORE_COLUMNS,
    3,
    f" WHERE excluded.origin <> {_TRAINING} OR scores.origin = {_TRAINING}",
    _OF_SCORES,
)
"""The table of scores. A training metric does not replace a stored score of another origin."""

_DROP_SCORES = (
    "DELETE FROM scores WHERE experiment = $1 AND (arm, eval_name) IN (SELECT arm, eval_name "
    "FROM unnest($2::bigint[], $3::text[]) AS u(arm, eval_name)) "
    "AND (arm, eval_name, key) NOT IN (SELECT arm, eval_name, key FROM "
    "unnest($4::bigint[], $5::text[], $6::text[]) AS u(arm, eval_name, key))"
)
_EXPERIMENT_COLUMNS = codec.EXPERIMENT_COLUMNS.split(", ")
_MORE = [at for at, name in enumerate(_EXPERIMENT_COLUMNS) if name not in {"id", "name"}]
_TOUCH = "UPDATE experiments SET write_id = $2{more} WHERE id = $1 AND write_id = $3 RETURNING id"
_CHANGED = "".join(f", {_EXPERIMENT_COLUMNS[column]} = ${at}" for at, column in enumerate(_MORE, 4))
_FINDING = "SELECT id FROM experiments WHERE id = $1"
_TOUCHING = _TOUCH.format(more="")
_CHANGING = _TOUCH.format(more=_CHANGED)


def _type(column: str) -> str:
    return "bytea" if column in _BYTES else "text" if column in _TEXTS else "bigint"


def _put(shape: _Shape, first: int) -> str:
    """Returns a statement that inserts or updates rows. Its bindings begin with number `first`."""
    table, listed = shape
    names, lists, values = ", ".join(table.columns), [], []
    for at, name in enumerate(table.columns, first):
        is_listed = name in listed
        values.append(f"u.{name}" if is_listed else f"${at}::{_type(name)}")
        if is_listed:
            lists.append(f"${at}::{_type(name)}[]")
    source = "guard g"
    if lists:
        source += f", unnest({', '.join(lists)}) AS u({', '.join(listed)})"
    if not table.key:
        changes = ", ".join(
            f"{name} = {value}" for name, value in zip(table.columns[1:], values[1:], strict=True)
        )
        return (
            f"UPDATE {table.name} SET {changes} FROM {source} WHERE {table.name}.experiment = g.id "
            f"AND {table.name}.{table.columns[0]} = {values[0]}"
        )
    insert = (
        f"INSERT INTO {table.name} (experiment, {names}) SELECT g.id, {', '.join(values)} "
        f"FROM {source}"
    )
    if table.is_new:
        return insert
    keys = ", ".join(table.columns[: table.key])
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.columns[table.key :])
    return f"{insert} ON CONFLICT (experiment, {keys}) DO UPDATE SET {changes}{table.condition}"


@lru_cache(1_000)
def _statement(guard: str, first: int, shapes: tuple[_Shape, ...]) -> str:
    """Returns one statement that runs `guard`, and then writes rows of several tables.

    The guard updates the row of the experiment. If it finds no row to update, the statement writes
    nothing. `first` is the number of the first binding after those of the guard.
    """
    parts = [f"guard AS ({guard})"]
    for number, shape in enumerate(shapes):
        parts.append(f"w{number} AS ({_put(shape, first)})")
        first += len(shape.table.columns)
    return f"WITH {', '.join(parts)} SELECT id FROM guard"


def _bound_rows(table: Table, rows: Collection[tuple[Any, ...]]) -> tuple[_Shape, list[Any]]:
    """Returns the shape of rows, and their bindings.

    If all rows have the same values in the shared columns, each of these columns is bound as one
    value. That takes less time than a list.
    """
    first = next(iter(rows))
    if len(rows) == 1:
        return _Shape(table, ()), list(first)
    columns = list(map(list, zip(*rows, strict=True)))
    shared = table.shared
    if shared and all(columns[at].count(first[at]) == len(rows) for at in shared):
        for at in shared:
            columns[at] = first[at]
        return _Shape(table, table.others), columns
    return _Shape(table, table.columns), columns


_Rows = dict[tuple[Any, ...], tuple[Any, ...]]


class WriteBuffer:
    """The rows of one experiment that are not written yet, by table and key.

    `run` runs a statement with its bindings.
    """

    def __init__(self, run: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._run = run
        self._rows: dict[Table, _Rows] = {}
        self._training: _Rows = {}
        self._new_arms: set[int] = set()
        self._evals_are_new = True
        self._dropped: set[tuple[Any, ...]] = set()
        self.experiment = 0

    @property
    def is_empty(self) -> bool:
        """Returns whether no rows are collected."""
        return not (self._dropped or self._training or any(self._rows.values()))

    def put(self, table: Table, values: tuple[Any, ...]) -> None:
        """Adds a row. It replaces the collected row with the same key."""
        self._rows.setdefault(table, {})[values[: table.key]] = values

    def put_arm(self, values: Sequence[Any], before: Sequence[Any] | None) -> None:
        """Adds the row of an arm. `before` is its stored row, or None if that is not known."""
        ordinal = values[_ORDINAL]
        if before is None or any(before[at] != values[at] for at in _lasting):
            self._new_arms.add(ordinal)
        self._rows.setdefault(_MOVED_ARMS, {})[ordinal,] = tuple(values)

    def put_evals(self, rows: Iterable[tuple[Any, ...]], *, are_new: bool) -> None:
        """Adds eval rows. `are_new` means that none of them is stored yet."""
        self._evals_are_new = self._evals_are_new and are_new
        self._rows.setdefault(_EVALS, {}).update((row[:4], row) for row in rows)

    def put_scores(
        self, place: tuple[int, str], scores: Mapping[str, tuple[Any, ...]], *, is_whole: bool
    ) -> None:
        """Replaces all scores of an eval. `place` is the arm's ordinal and the eval's name.

        `is_whole` means that no score of the eval is stored on a key that is not in `scores`.
        """
        for rows in (self._rows.get(_REPLACED_SCORES, {}), self._training):
            for old in [old for old in rows if old[:2] == place]:
                del rows[old]
        if not is_whole:
            self._dropped.add(place)
        for key, score in scores.items():
            self.put(_REPLACED_SCORES, (*place, key, *score))

    def put_training(self, place: tuple[int, str], key: str, score: tuple[Any, ...]) -> None:
        """Adds the score of a training metric, unless its key has a score of another origin."""
        row = (*place, key, *score)
        before = self._rows.get(_REPLACED_SCORES, {}).get(row[:3])
        if before is not None:
            if before[4] == row[4]:
                self.put(_REPLACED_SCORES, row)
        elif place in self._dropped:
            self.put(_REPLACED_SCORES, row)
        else:
            self._training[row[:3]] = row

    def flush(self) -> None:
        """Writes all collected rows."""
        if not self.is_empty:
            self._write(_FINDING, (self.experiment,), self._take())

    def finish(
        self, before: int, after: int, experiment: Sequence[Any] | None
    ) -> tuple[str, tuple[Any, ...]]:
        """Returns the statement that writes all rows that are still collected, and its bindings.

        If the experiment's `write_id` is not `before`, another transaction has changed the
        experiment. The statement then changes nothing and returns no row. Otherwise, it sets the
        `write_id` to `after`, and the experiment's columns to `experiment` unless that is None.
        """
        rows, ids = self._take(), (self.experiment, after, before)
        if experiment is None:
            return self._bound(_TOUCHING, ids, rows)
        return self._bound(_CHANGING, (*ids, *(experiment[at] for at in _MORE)), rows)

    def _take(self) -> dict[Table, _Rows]:
        """Removes old scores from the database. Empties the buffer, and returns its rows."""
        self._drop()
        rows, self._rows = self._rows, {}
        arms = rows.pop(_MOVED_ARMS, {})
        if self._new_arms:
            rows[_ARMS] = {key: _ordinal_first(row) for key, row in arms.items()}
            self._new_arms = set()
        else:
            rows[_MOVED_ARMS] = {key: tuple(row[at] for at in _moving) for key, row in arms.items()}
        if self._evals_are_new:
            rows[_NEW_EVALS] = rows.pop(_EVALS, {})
        self._evals_are_new = True
        scores = rows.pop(_REPLACED_SCORES, {})
        rows[_SCORES], self._training = scores | self._training, {}
        return {table: found for table, found in rows.items() if found}

    def _drop(self) -> None:
        """Removes the stored scores of evals that get new scores, and writes the new ones."""
        if not self._dropped:
            return
        scores = self._rows.pop(_REPLACED_SCORES, {})
        kept = [key for key in scores if key[:2] in self._dropped]
        dropped, kept_columns = _columns(self._dropped, 2), _columns(kept, 3)
        self._dropped = set()
        self._run(_DROP_SCORES, (self.experiment, *dropped, *kept_columns))
        if scores:
            self._write(_FINDING, (self.experiment,), {_REPLACED_SCORES: scores})

    def _write(self, guard: str, bindings: tuple[Any, ...], rows: Mapping[Table, _Rows]) -> None:
        self._run(*self._bound(guard, bindings, rows))

    @staticmethod
    def _bound(
        guard: str, bindings: tuple[Any, ...], rows: Mapping[Table, _Rows]
    ) -> tuple[str, tuple[Any, ...]]:
        shapes, values = [], list(bindings)
        for table in sorted(rows, key=_name):
            shape, bound = _bound_rows(table, rows[table].values())
            shapes.append(shape)
            values += bound
        return _statement(guard, len(bindings) + 1, tuple(shapes)), tuple(values)


def _ordinal_first(row: Sequence[Any]) -> tuple[Any, ...]:
    return (row[_ORDINAL], *row[:_ORDINAL], *row[_ORDINAL + 1 :])


def _columns(rows: Collection[Any], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]


_name = attrgetter("name")
