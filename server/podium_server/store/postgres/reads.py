"""The reads of the PostgreSQL store. A page loads the data of many of its rows at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import asyncpg

from podium_server.store.postgres.connection import Connection
from podium_server.store.postgres.dialect import POSTGRES
from podium_server.store.rows import ArmRow
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch
from podium_server.store.sql.reads import Reader

__all__ = ["PostgresReader"]

_FIRST_ROWS, _MOST_ROWS = 8, 128
"""The rows in the first piece of a page, and in the largest piece.

The first pieces are small, because each row can be large.
"""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_ARMS = (
    f"SELECT {codec.ARM_COLUMNS} FROM arms "
    "WHERE experiment = ? AND ordinal IN (SELECT unnest(CAST(? AS BIGINT[])))"
)
_PARTS = (
    "SELECT arm, part, content FROM arm_parts WHERE experiment = ? "
    "AND arm IN (SELECT unnest(CAST(? AS BIGINT[]))) AND part NOT IN ('series', 'values')"
)
_ROWS = (
    "SELECT e.arm, e.name, e.post, e.step, e.position, e.content, e.stamp FROM "
    "unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS TEXT[]), CAST(?4 AS BIGINT[]), CAST(?5 AS BIGINT[])) "
    "AS u(arm, name, post, step) JOIN evals e ON e.experiment = ?1 "
    "AND e.arm = u.arm AND e.name = u.name AND e.post = u.post AND e.step = u.step"
)
_CONTENTS = (
    "SELECT experiment, content FROM experiment_contents "
    "WHERE experiment IN (SELECT unnest(CAST(? AS BIGINT[])))"
)
_COLUMNS = codec.EXPERIMENT_COLUMNS.split(", ")
_ID = _COLUMNS.index("id")
_ROW = 2
"""The kind of eval rows in the places of changes."""


class PostgresReader(Reader):
    """Reads on a connection of the pool."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(Connection(connection), POSTGRES)
        self._has_state = False
        self._arms: dict[int, ArmRow] = {}
        self._parts: dict[int, dict[str, bytes]] = {}
        self._rows: dict[tuple[Any, ...], tuple[int, bytes, bytes]] = {}
        self._contents: dict[int | None, bytes] = {}

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """Makes all statements of the block read the same committed state."""
        if self._has_state:
            yield
            return
        self.connection.execute(_BEGIN)
        self._has_state = True
        # After an error, the pool rolls back.
        yield
        self._has_state = False
        self.connection.execute("COMMIT")

    def parts(self, place: tuple[int, int]) -> dict[str, bytes]:
        """Returns the parts of an arm by name, without those that only the store uses."""
        found = self._parts.get(place[1])
        return super().parts(place) if found is None else found

    def row(self, place: tuple[int, int], key: Sequence[Any]) -> tuple[int, bytes, bytes]:
        """Returns the position, content and stamp (see `EvalRow`) of the row with a key."""
        found = self._rows.pop((place[1], *key), None)
        return super().row(place, key) if found is None else found

    def arm_at(self, experiment: int, ordinal: int) -> ArmRow:
        """Returns the arm with an ordinal."""
        found = self._arms.get(ordinal)
        return super().arm_at(experiment, ordinal) if found is None else found

    def content(self, experiment: int | None) -> bytes:
        """Returns the encoded message of an experiment."""
        found = self._contents.get(experiment)
        return super().content(experiment) if found is None else found

    def views_ahead(self, experiment: int | None, arms: Iterable[Any]) -> Iterable[Any]:
        """Yields the columns of arms, after their parts and primary rows are loaded."""

        def load(some: list[Any]) -> None:
            self._load_views(experiment or 0, list(map(codec.arm_from, some)))

        return _in_pieces(arms, load)

    def rows_ahead(self, place: tuple[int, int], rows: Iterable[Any]) -> Iterable[Any]:
        """Yields the positions and keys of rows, after the rows are loaded."""
        experiment, arm = place

        def load(some: list[Any]) -> None:
            self._load_rows(experiment, [(arm, *key) for _, *key in some])

        return _in_pieces(rows, load)

    def contents_ahead(self, experiments: Iterable[Any]) -> Iterable[Any]:
        """Yields the columns of experiments, after their contents are loaded."""

        def load(some: list[Any]) -> None:
            ids = [columns[_ID] for columns in some]
            self._contents = dict.fromkeys(ids, b"")
            self._contents.update(fetch(self.connection, _CONTENTS, (ids,)))

        return _in_pieces(experiments, load)

    def changes_ahead(self, experiment: int, changes: Iterable[Any]) -> Iterable[Any]:
        """Yields the places of changes, after their arms are loaded."""

        def load(some: list[Any]) -> None:
            arms = {key[0] for _, kind, *key in some if kind == 1 and len(key) == 1}
            rows = {key[0] for _, kind, *key in some if kind == _ROW}
            self._load_arms(experiment, arms | rows)
            self._load_views(experiment, [self._arms[arm] for arm in arms])

        return _in_pieces(changes, load)

    def _load_arms(self, experiment: int, ordinals: Iterable[int]) -> None:
        missing = [ordinal for ordinal in ordinals if ordinal not in self._arms]
        if missing:
            for columns in fetch(self.connection, _ARMS, (experiment, missing)):
                row = codec.arm_from(columns)
                self._arms[row.ordinal] = row

    def _load_views(self, experiment: int, arms: Sequence[ArmRow]) -> None:
        if not arms:
            return
        self._parts = {arm.ordinal: {} for arm in arms}
        for arm, part, content in fetch(self.connection, _PARTS, (experiment, list(self._parts))):
            self._parts[arm][part] = content
        keys = [(arm.ordinal, *codec.key_values(arm.primary)) for arm in arms if arm.primary]
        self._load_rows(experiment, keys)

    def _load_rows(self, experiment: int, keys: Sequence[tuple[Any, ...]]) -> None:
        if keys:
            columns = [list(column) for column in zip(*keys, strict=True)]
            for *key, position, content, stamp in fetch(
                self.connection, _ROWS, (experiment, *columns)
            ):
                self._rows[tuple(key)] = (position, content, stamp)


def _in_pieces(rows: Iterable[Any], load: Callable[[list[Any]], None]) -> Iterator[Any]:
    """Yields rows in growing pieces. Calls `load` with each piece before it is yielded."""
    source, size = iter(rows), _FIRST_ROWS
    while some := list(islice(source, size)):
        load(some)
        yield from some
        size = min(2 * size, _MOST_ROWS)
