"""Collects the rows that a transaction writes, and writes them with few statements.

Each statement is a round trip, so rows are not written one by one. All rows of a table that are
inserted or updated become one part of one statement.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from podium_server.store.sql import codec

__all__ = [
    "ARMS",
    "EVALS",
    "EXPERIMENTS",
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


class Table(NamedTuple):
    """A table whose rows are collected: its name, its columns, and how many make its key."""

    name: str
    columns: tuple[str, ...]
    key: int
    condition: str = ""


def _table(name: str, columns: str, key: int, condition: str = "") -> Table:
    return Table(name, tuple(columns.split(", ")), key, condition)


_SCORE_COLUMNS = "experiment, arm, eval_name, key, value, origin, step, benchmark_id"
EXPERIMENTS = _table(
    "experiments", ", ".join(sorted(codec.EXPERIMENT_COLUMNS.split(", "), key="id".__ne__)), 1
)
STREAMS = _table("streams", f"experiment, {codec.STREAM_COLUMNS}", 2)
_ARM_COLUMNS = tuple(sorted(codec.ARM_COLUMNS.split(", "), key="ordinal".__ne__))
ARMS = _table("arms", f"experiment, {', '.join(_ARM_COLUMNS)}", 2)
PARTS = _table("arm_parts", "experiment, arm, part, content", 3)
EVALS = _table("evals", f"experiment, arm, {codec.EVAL_COLUMNS}", 5)
POINTS = _table("points", "experiment, arm, step, content", 3)
POINT_KEYS = _table("point_keys", "experiment, arm, id, key", 3)
_SCORES = _table("scores", _SCORE_COLUMNS, 4)
_TRAINING = _table("scores", _SCORE_COLUMNS, 4, " WHERE scores.origin = excluded.origin")

_DROP_SCORES = (
    "DELETE FROM scores WHERE (experiment, arm, eval_name) IN "
    "(SELECT experiment, arm, eval_name "
    "FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u(experiment, arm, eval_name)) "
    "AND (experiment, arm, eval_name, key) NOT IN (SELECT experiment, arm, eval_name, key FROM "
    "unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[]) "
    "AS u(experiment, arm, eval_name, key))"
)


def _type(column: str) -> str:
    return "bytea" if column in _BYTES else "text" if column in _TEXTS else "bigint"


def _put(table: Table, first: int) -> str:
    """Returns a statement that inserts rows, or updates those with the same keys."""
    names, keys = ", ".join(table.columns), ", ".join(table.columns[: table.key])
    arrays = ", ".join(f"${at}::{_type(c)}[]" for at, c in enumerate(table.columns, first))
    changes = ", ".join(f"{name} = excluded.{name}" for name in table.columns[table.key :])
    return (
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM unnest({arrays}) AS u({names}) "
        f"ON CONFLICT ({keys}) DO UPDATE SET {changes}{table.condition}"
    )


def _put_all(tables: tuple[Table, ...]) -> str:
    """Returns one statement that writes rows of several tables, which do not affect each other."""
    first, parts = 1, []
    for table in tables:
        parts.append(_put(table, first))
        first += len(table.columns)
    *others, last = parts
    named = ", ".join(f"w{at} AS ({part})" for at, part in enumerate(others))
    return f"WITH {named} {last}" if named else last


_Rows = dict[tuple[Any, ...], tuple[Any, ...]]


class WriteBuffer:
    """The rows that are not written yet, by table and key.

    `run` runs a statement with its bindings.
    """

    def __init__(self, run: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._run = run
        self._rows: dict[Table, _Rows] = {}
        self._dropped: set[tuple[Any, ...]] = set()

    def put(self, table: Table, values: tuple[Any, ...]) -> None:
        """Adds a row. It replaces the collected row with the same key."""
        self._rows.setdefault(table, {})[values[: table.key]] = values

    def put_scores(
        self, place: tuple[int, int, str], scores: Mapping[str, tuple[Any, ...]], *, is_whole: bool
    ) -> None:
        """Replaces all scores of an eval. `is_whole` tells that the store has no others."""
        for table in (_SCORES, _TRAINING):
            rows = self._rows.get(table, {})
            for old in [old for old in rows if old[:3] == place]:
                del rows[old]
        if not is_whole:
            self._dropped.add(place)
        for key, score in scores.items():
            self.put(_SCORES, (*place, key, *score))

    def put_training(self, place: tuple[int, int, str], key: str, score: tuple[Any, ...]) -> None:
        """Adds the score of a training metric, unless its key has a score of another origin."""
        row = (*place, key, *score)
        before = self._rows.get(_SCORES, {}).get(row[:4])
        if before is not None:
            if before[5] == row[5]:
                self.put(_SCORES, row)
        elif place in self._dropped:
            self.put(_SCORES, row)
        else:
            self.put(_TRAINING, row)

    def flush(self) -> None:
        """Writes all collected rows."""
        if self._dropped:
            kept = [key for key in self._rows.get(_SCORES, ()) if key[:3] in self._dropped]
            dropped, kept_columns = _columns(self._dropped, 3), _columns(kept, 4)
            self._dropped = set()
            self._run(_DROP_SCORES, (*dropped, *kept_columns))
        rows, self._rows = self._rows, {}
        training = rows.pop(_TRAINING, None)
        for some in (rows, {_TRAINING: training} if training else {}):
            self._write({table: found for table, found in some.items() if found})

    def _write(self, rows: Mapping[Table, _Rows]) -> None:
        if not rows:
            return
        tables = tuple(sorted(rows))
        bindings: list[Any] = []
        for table in tables:
            bindings += _columns(rows[table].values(), len(table.columns))
        self._run(_put_all(tables), tuple(bindings))


def _columns(rows: Any, count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]
