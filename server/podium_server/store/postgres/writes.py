"""Transactions of the PostgreSQL store: few round trips for any number of calls and rows.

All calls of a transaction are on one experiment. The rows that they need are known from the last
transaction, or loaded for all calls at once. The rows that they write are collected, and written at
the end, or before a statement that depends on them.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from podium_server.store.calls import ArmChange, Needs
from podium_server.store.postgres.buffer import (
    PARTS,
    POINT_KEYS,
    POINTS,
    STREAMS,
    WriteBuffer,
)
from podium_server.store.postgres.connection import Connection
from podium_server.store.postgres.known import KnownRows, Place
from podium_server.store.postgres.loads import LOCK, PostgresLoader
from podium_server.store.postgres.names import experiment_id
from podium_server.store.postgres.points import PostgresPoints
from podium_server.store.rows import ArmRow, EvalRow, ExperimentRow, RowScores, ScoreRow, StreamRow
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch
from podium_server.store.sql.loads import Loader
from podium_server.store.sql.points import PointTable
from podium_server.store.sql.rank_index import RankWriter
from podium_server.store.sql.writes import Transaction, Writer

__all__ = ["PostgresTransaction", "StatementNeededError"]

_BARE = ""
_CREATE = (
    f"INSERT INTO experiments ({codec.EXPERIMENT_COLUMNS}) "
    f"VALUES ({','.join('?' * len(codec.EXPERIMENT_COLUMNS.split(', ')))}) "
    "ON CONFLICT (id) DO NOTHING RETURNING id"
)


class StatementNeededError(Exception):
    """The known rows are not enough for the calls, so the transaction needs a connection."""


class _Buffered(Connection):
    """A connection that writes all collected rows before each statement.

    Without a connection to the database, each statement raises StatementNeededError.
    """

    def __init__(self, connection: asyncpg.Connection | None) -> None:
        super().__init__(connection)
        self.buffer = WriteBuffer(self._write)
        self.has_written = False

    def execute(self, statement: str, bindings: Sequence[Any] = (), /) -> Any:
        """Writes all collected rows, then runs a statement."""
        self._check()
        self.buffer.flush()
        if not statement.startswith("SELECT") and statement is not LOCK:
            self.has_written = True
        return super().execute(statement, bindings)

    def read(self, statement: str, bindings: Sequence[Any]) -> list[Any]:
        """Returns the rows of a statement that reads none of the collected rows."""
        self._check()
        return super().execute(statement, bindings).fetchall()

    def executemany(self, statement: str, bindings: Iterable[Sequence[Any]], /) -> Any:
        """Writes all collected rows, then runs a statement for each of the bindings."""
        if bindings := list(bindings):
            self._check()
            self.buffer.flush()
            self.has_written = True
        return super().executemany(statement, bindings)

    def _write(self, statement: str, bindings: tuple[Any, ...]) -> None:
        self._check()
        self.has_written = True
        super().execute(statement, bindings)

    @property
    def is_open(self) -> bool:
        """Returns whether there is a connection to the database."""
        return self._connection is not None

    def _check(self) -> None:
        if not self.is_open:
            raise StatementNeededError


class PostgresTransaction(Transaction):
    """A transaction for calls on one experiment.

    A transaction without a connection uses only known rows. Its statement `last` then writes all
    changes.

    Attributes:
        last: The statement that writes all rows not written yet, with its bindings. None if the
            calls change nothing. If the statement returns no row, the known rows were out of date,
            and the statement has changed nothing.
    """

    _connection: _Buffered
    _loader: PostgresLoader

    def __init__(self, connection: asyncpg.Connection | None, known: KnownRows) -> None:
        self._first = known
        super().__init__(_Buffered(connection))
        self.last: tuple[str, tuple[Any, ...]] | None = None

    def _tables(self) -> tuple[Loader, RankWriter, Writer]:
        points = _Points(self._connection)
        loader = PostgresLoader(self._connection, points, self._first)
        ranks = RankWriter(self._connection)
        return loader, ranks, _Writer(self._connection, loader, ranks, points)

    def prepare(self, needs: Sequence[Needs]) -> None:
        """Loads the rows that calls on an experiment need and that are not known.

        With a connection, the row of the experiment is locked first.
        """
        self._name = needs[0].experiment
        self._connection.buffer.experiment = experiment_id(self._name)
        row = self._loader.known.experiment
        if self._connection.is_open:
            row = self._loader.experiment(self._name)
        if row is not None and row.id is not None:
            self._experiments[row.name] = row
            self._loader.load(row.id, needs)

    def finish(self) -> None:
        """Sets `last`, after all calls have been applied."""
        self._ranks.finish()
        buffer, row = self._connection.buffer, self._experiments.get(self._name)
        is_changed = self._name in self._changed
        if row is None or (buffer.is_empty and not (self._connection.has_written or is_changed)):
            return
        known, write_id = self._loader.known, secrets.randbits(63)
        values = codec.experiment_values(row) if is_changed else None
        self.last = buffer.finish(known.write_id, write_id, values)
        known.write_id = write_id
        known.experiment = row.copy()
        known.experiment.content = None
        self._loader.settle()

    @property
    def known(self) -> KnownRows:
        """The rows that are known once the transaction is committed."""
        return self._loader.known

    def _create_experiment(self, row: ExperimentRow) -> int:
        row.id = experiment_id(row.name)
        if not fetch(self._connection, _CREATE, codec.experiment_values(row)):
            # Another server has just created the experiment. The calls run again.
            raise asyncpg.SerializationError
        self._loader.use(KnownRows(0))
        return row.id


class _Points(PostgresPoints):
    """Collects the points of training series instead of writing them at once."""

    _connection: _Buffered

    def _put(self, place: Place, step: int, content: bytes) -> None:
        self.note_point(place, step)
        self._connection.buffer.put(POINTS, (place[1], step, content))

    def _put_key(self, place: Place, identity: int, key: str) -> None:
        self._connection.buffer.put(POINT_KEYS, (place[1], identity, key))


class _Writer(Writer):
    """Collects rows instead of writing them at once."""

    _loader: PostgresLoader

    def __init__(
        self, connection: _Buffered, loader: PostgresLoader, ranks: RankWriter, points: PointTable
    ) -> None:
        super().__init__(connection, loader, ranks, points)
        self._buffer = connection.buffer

    def put_stream(self, row: StreamRow) -> None:
        known = self._loader.known
        known.put(known.streams, row.writer_id, row)
        self._buffer.put(STREAMS, codec.stream_values(row))

    def put_part(self, place: Place, part: str, content: bytes) -> None:
        known = self._loader.known
        known.put(known.parts, (place, part), content)
        self._buffer.put(PARTS, (place[1], part, content))

    def put_rows(self, place: Place, rows: Sequence[EvalRow]) -> None:
        are_new = self._loader.note_rows(place, rows)
        values = ((place[1], *codec.eval_values(row)) for row in rows)
        self._buffer.put_evals(values, are_new=are_new)

    def put_arm(self, row: ArmRow) -> None:
        columns = codec.arm_values(row)
        self._buffer.put_arm(columns, self._loader.note_arm(row.name, columns))

    def put_scores(self, place: tuple[int, int, str], scores: RowScores | None) -> None:
        found: dict[str, tuple[Any, ...]] = {}
        if scores is not None:
            shared = (int(scores.origin), scores.step, scores.benchmark_id)
            values = codec.values_of(scores.metrics.values())
            pairs = zip(scores.metrics, values, strict=True)
            found = {key: (value, *shared) for key, value in pairs}
        is_whole = self._loader.note_scores(place[:2], place[2], found)
        self._buffer.put_scores(place[1:], found, is_whole=is_whole)

    def put_bare(self, place: Place, scores: Mapping[str, ScoreRow]) -> None:
        values = {key: codec.score_values(score) for key, score in scores.items()}
        self._buffer.put_scores((place[1], _BARE), values, is_whole=False)

    def put_training(self, place: Place, scores: Mapping[str, ScoreRow]) -> None:
        for key, score in scores.items():
            self._buffer.put_training((place[1], _BARE), key, codec.score_values(score))

    def _write_arm(self, change: ArmChange) -> None:
        self._loader.note_new((self._experiment, change.row.ordinal), change.row.name)
        super()._write_arm(change)

    def _remove_rows(self, change: ArmChange, place: Place) -> None:
        super()._remove_rows(change, place)
        self._loader.forget()

    def forget_arms(self) -> None:
        super().forget_arms()
        self._loader.forget()
