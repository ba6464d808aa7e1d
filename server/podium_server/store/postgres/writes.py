"""Transactions of the PostgreSQL store: few round trips for any number of calls and rows.

All calls of a transaction are on one experiment, whose row is locked first. What the calls need is
then loaded for all of them at once. What they write is collected, and written at the end, or before
a statement that depends on it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import asyncpg
from podium.scoring import precedence

from podium_server.errors import failure
from podium_server.store.calls import ArmChange, ArmNeeds, Needs
from podium_server.store.postgres.buffer import (
    ARMS,
    EVALS,
    EXPERIMENTS,
    PARTS,
    POINT_KEYS,
    POINTS,
    STREAMS,
    WriteBuffer,
)
from podium_server.store.postgres.connection import Connection
from podium_server.store.postgres.names import experiment_id
from podium_server.store.rows import (
    ArmRow,
    EvalKey,
    EvalRow,
    ExperimentRow,
    RowScores,
    ScoreRow,
    StreamRow,
)
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch
from podium_server.store.sql.loads import Loader
from podium_server.store.sql.points import PointTable
from podium_server.store.sql.rank_index import RankWriter
from podium_server.store.sql.writes import Transaction, Writer

__all__ = ["PostgresTransaction"]

_Place = tuple[int, int]
_BARE = ""
_COLUMNS = codec.ARM_COLUMNS.split(", ")
_WIDTH = len(_COLUMNS)
_without_ordinal = itemgetter(*(at for at, name in enumerate(_COLUMNS) if name != "ordinal"))

# The update changes nothing. It locks the row, and returns it as the last transaction left it.
_LOCK = (
    f"UPDATE experiments SET deleted = deleted WHERE id = ? RETURNING {codec.EXPERIMENT_COLUMNS}"
)
_CREATE = (
    f"INSERT INTO experiments ({codec.EXPERIMENT_COLUMNS}) "
    f"VALUES ({','.join('?' * len(codec.EXPERIMENT_COLUMNS.split(', ')))}) "
    "ON CONFLICT (id) DO NOTHING RETURNING id"
)
_STREAMS = (
    f"SELECT {codec.STREAM_COLUMNS} FROM streams "
    "WHERE experiment = ? AND writer_id IN (SELECT unnest(CAST(? AS TEXT[])))"
)
_PARTS = (
    "SELECT p.arm, p.part, p.content FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS TEXT[])) "
    "AS u(arm, part) JOIN arm_parts p ON p.experiment = ?1 AND p.arm = u.arm AND p.part = u.part"
)
_KEYS = (
    "(SELECT array_agg(s.key) FROM scores s "
    "WHERE s.experiment = ?1 AND s.arm = a.ordinal AND s.eval_name = u.name)"
)
_ARMS = (
    f"SELECT {', '.join(f'a.{name}' for name in _COLUMNS)}, {_KEYS}, "
    f"{', '.join(f'e.{name}' for name in codec.EVAL_COLUMNS.split(', '))} "
    "FROM unnest(CAST(?2 AS TEXT[]), CAST(?3 AS TEXT[])) AS u(arm, name) "
    "JOIN arms a ON a.experiment = ?1 AND a.name = u.arm LEFT JOIN LATERAL "
    f"(SELECT {codec.EVAL_COLUMNS} FROM evals WHERE experiment = ?1 AND evals.arm = a.ordinal "
    "AND evals.name = u.name ORDER BY post DESC, step DESC LIMIT 1) e ON TRUE"
)
"""Arms, each with some names of evals: the keys of an eval's scores, and the row that
`eval(name)` returns."""
_POINTS = (
    "SELECT p.arm, p.step, p.content FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS BIGINT[])) "
    "AS u(arm, step) JOIN points p ON p.experiment = ?1 AND p.arm = u.arm AND p.step = u.step"
)
_ROWS = (
    f"SELECT u.arm, {', '.join(f'e.{name}' for name in codec.EVAL_COLUMNS.split(', '))} "
    "FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS TEXT[]), CAST(?4 AS BIGINT[]), "
    "CAST(?5 AS BIGINT[])) AS u(arm, name, post, step) JOIN evals e ON e.experiment = ?1 "
    "AND e.arm = u.arm AND e.name = u.name AND e.post = u.post AND e.step = u.step"
)


class _Buffered(Connection):
    """A connection that writes all collected rows before each statement."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self.buffer = WriteBuffer(self._write)
        self.has_written = False

    def execute(self, statement: str, bindings: Sequence[Any] = (), /) -> Any:
        """Runs a statement after the collected rows are written."""
        self.buffer.flush()
        if not statement.startswith("SELECT") and statement is not _LOCK:
            self.has_written = True
        return super().execute(statement, bindings)

    def read(self, statement: str, bindings: Sequence[Any]) -> list[Any]:
        """Returns the rows of a statement that reads none of the collected rows."""
        return super().execute(statement, bindings).fetchall()

    def executemany(self, statement: str, bindings: Iterable[Sequence[Any]], /) -> Any:
        """Runs a statement for each of the bindings, after the collected rows are written."""
        self.buffer.flush()
        self.has_written = self.has_written or bool(bindings)
        return super().executemany(statement, bindings)

    def _write(self, statement: str, bindings: tuple[Any, ...]) -> None:
        self.has_written = True
        super().execute(statement, bindings)


class PostgresTransaction(Transaction):
    """A transaction for calls on one experiment."""

    _connection: _Buffered
    _loader: "_Loader"

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(_Buffered(connection))

    @property
    def has_written(self) -> bool:
        """Returns whether the transaction has changed anything."""
        return self._connection.has_written

    def _tables(self) -> tuple[Loader, RankWriter, Writer]:
        points = _PointTable(self._connection)
        loader, ranks = _Loader(self._connection, points), RankWriter(self._connection)
        return loader, ranks, _Writer(self._connection, loader, ranks, points)

    def prepare(self, needs: Sequence[Needs]) -> None:
        """Locks the experiment of some calls, and loads what they need."""
        row = self._loader.experiment(needs[0].experiment)
        if row is not None and row.id is not None:
            self._experiments[row.name] = row
            self._loader.load(row.id, needs)

    def finish(self) -> None:
        """Writes everything that is not written yet."""
        for name in self._changed:
            [tags, deleted, number, *others] = codec.experiment_values(self._experiments[name])
            self._connection.buffer.put(EXPERIMENTS, (number, tags, deleted, *others))
        self._ranks.finish()
        self._connection.buffer.flush()

    def _create_experiment(self, row: ExperimentRow) -> int:
        row.id = experiment_id(row.name)
        if not fetch(self._connection, _CREATE, codec.experiment_values(row)):
            # Another server has just created it. The calls run again.
            raise asyncpg.SerializationError
        return row.id


class _Loader(Loader):
    """Looks up rows. Knows the rows that it has loaded, or that the transaction has written.

    Of the arms in `_whole`, all rows are known.
    """

    _connection: _Buffered
    _points: "_PointTable"

    def __init__(self, connection: _Buffered, points: "_PointTable") -> None:
        super().__init__(connection, points)
        self.forget()

    def forget(self) -> None:
        """Forgets arms and streams, because some data of theirs was removed."""
        self.columns.clear()
        self._streams: dict[str, StreamRow | None] = {}
        self._arms: dict[str, tuple[Any, ...] | None] = {}
        self._parts: dict[tuple[_Place, str], bytes] = {}
        self._rows: dict[_Place, dict[EvalKey, EvalRow | None]] = defaultdict(dict)
        self._answering: dict[tuple[_Place, str], EvalRow | None] = {}
        self._whole: set[_Place] = set()
        self._keys: dict[tuple[_Place, str], set[str]] = {}

    def load(self, experiment: int, needs: Sequence[Needs]) -> None:
        """Loads what calls need, with one statement for each table."""
        writers = {each.writer_id for each in needs if each.writer_id is not None}
        if writers:
            self._streams = dict.fromkeys(writers)
            for values in self._connection.read(_STREAMS, (experiment, list(writers))):
                self._streams[values[0]] = codec.stream_from(values)
        arms = [pair for each in needs for pair in each.arms.items()]
        if arms:
            self._load_arms(experiment, arms)
            known = [(self._arms[name], wanted) for name, wanted in arms]
            places = [
                ((experiment, codec.arm_from(columns).ordinal), wanted)
                for columns, wanted in known
                if columns is not None
            ]
            steps = {(at, step) for at, w in places for step in w.point_steps}
            if steps:
                self._points.load(experiment, steps)
            self._load_parts(experiment, {(at, part) for at, w in places for part in w.parts})
            keys = {(at, key) for at, w in places if not w.all_rows for key in w.keys}
            self._load_rows(experiment, {pair for pair in keys if pair[0] not in self._whole})

    def _load_arms(self, experiment: int, arms: Sequence[tuple[str, ArmNeeds]]) -> None:
        """Loads arms, and the rows that `eval(name)` returns for the names of needed keys."""
        self._arms.update({name: None for name, _ in arms})
        pairs = {
            (name, key)
            for name, wanted in arms
            for key in {None, *(key.name for key in wanted.keys if not wanted.all_rows)}
        }
        bindings = ([arm for arm, _ in pairs], [name for _, name in pairs])
        for values in self._connection.read(_ARMS, (experiment, *bindings)):
            columns, keys, found = values[:_WIDTH], values[_WIDTH], values[_WIDTH + 1 :]
            arm = codec.arm_from(columns)
            place = (experiment, arm.ordinal)
            self._arms[arm.name] = columns
            if arm.eval_count == 0:
                self._whole.add(place)
            if found[0] is not None:
                row = codec.eval_from(found)
                self._answering[place, row.key.name] = self._rows[place][row.key] = row
                self._keys[place, row.key.name] = set(keys or ())

    def _load_parts(self, experiment: int, wanted: Collection[tuple[_Place, str]]) -> None:
        if wanted:
            self._parts.update(dict.fromkeys(wanted, b""))
            bindings = ([at[1] for at, _ in wanted], [part for _, part in wanted])
            for arm, part, content in self._connection.read(_PARTS, (experiment, *bindings)):
                self._parts[(experiment, arm), part] = content

    def _load_rows(self, experiment: int, wanted: Collection[tuple[_Place, EvalKey]]) -> None:
        if not wanted:
            return
        for at, key in wanted:
            if self._answering.setdefault((at, key.name), None) is None:
                self._keys.setdefault((at, key.name), set())
        others = [
            (at, key)
            for at, key in wanted
            if (found := self._answering[at, key.name]) is not None
            and precedence(key.step) < precedence(found.key.step)
        ]
        if others:
            for at, key in others:
                self._rows[at][key] = None
            columns = zip(*((at[1], *codec.key_values(key)) for at, key in others), strict=True)
            for arm, *values in self._connection.read(
                _ROWS, (experiment, *(list(column) for column in columns))
            ):
                row = codec.eval_from(values)
                self._rows[experiment, arm][row.key] = row

    def experiment(self, name: str) -> ExperimentRow | None:
        """Returns the row of an experiment, which this locks until the end of the transaction."""
        for columns in self._connection.execute(_LOCK, (experiment_id(name),)).fetchall():
            row = codec.experiment_from(columns)
            if row.name != name:
                text = f"its id is that of experiment {row.name!r}; choose another name"
                raise failure("NAME_INVALID", text)
            return row
        return None

    def stream(self, experiment: int, writer_id: str) -> StreamRow | None:
        """Returns the stream of a writer."""
        if writer_id not in self._streams:
            self._streams[writer_id] = super().stream(experiment, writer_id)
        row = self._streams[writer_id]
        return None if row is None else replace(row)

    def arm_columns(self, experiment: int, name: str) -> tuple[Any, ...] | None:
        """Returns the column values of an arm."""
        if name not in self._arms:
            self._arms[name] = super().arm_columns(experiment, name)
        return self._arms[name]

    def part(self, place: _Place, part: str) -> bytes:
        """Returns a part of an arm, or b"" if it is empty."""
        if (place, part) not in self._parts:
            self._parts[place, part] = super().part(place, part)
        return self._parts[place, part]

    def answering(self, place: _Place, name: str) -> EvalRow | None:
        """Returns the row that `eval(name)` returns if no step is given."""
        if place in self._whole:
            rows = [row for row in self._all(place) if row.key.name == name]
            return max(rows, key=lambda row: precedence(row.key.step), default=None)
        if (place, name) not in self._answering:
            self._answering[place, name] = super().answering(place, name)
        return self._answering[place, name]

    def row(self, place: _Place, key: EvalKey) -> EvalRow | None:
        """Returns the row of a key."""
        rows = self._rows[place]
        if place in self._whole:
            return rows.get(key)
        if key not in rows:
            rows[key] = super().row(place, key)
        return rows[key]

    def first(self, place: _Place) -> EvalRow | None:
        """Returns the first of the rows that have a primary class, by class and position."""
        if place not in self._whole:
            return super().first(place)
        rows = [row for row in self._all(place) if row.primary_class is not None]
        return min(rows, key=_primary_order, default=None)

    def _all(self, place: _Place) -> list[EvalRow]:
        return [row for row in self._rows[place].values() if row is not None]

    def _all_rows(self, place: _Place, needs: ArmNeeds) -> dict[EvalKey, EvalRow]:
        if place in self._whole:
            return {row.key: row for row in self._all(place)}
        return super()._all_rows(place, needs)

    def note_arm(self, name: str, columns: tuple[Any, ...]) -> None:
        """Notes an arm that the transaction writes."""
        self._arms[name] = columns

    def note_new(self, place: _Place, name: str) -> None:
        """Notes that an arm is new if it was not found before. It has no rows yet then."""
        if self._arms.get(name, ()) is None:
            self._whole.add(place)

    def note_part(self, place: _Place, part: str, content: bytes) -> None:
        """Notes a part that the transaction writes."""
        self._parts[place, part] = content

    def note_row(self, place: _Place, row: EvalRow) -> None:
        """Notes a row that the transaction writes."""
        self._rows[place][row.key] = row
        name = row.key.name
        if (place, name) in self._answering:
            before = self._answering[place, name]
            if before is None or precedence(row.key.step) >= precedence(before.key.step):
                self._answering[place, name] = row

    def note_stream(self, row: StreamRow) -> None:
        """Notes a stream that the transaction writes."""
        self._streams[row.writer_id] = row

    def note_scores(self, place: _Place, name: str, keys: Collection[str]) -> bool:
        """Notes the scores that an eval gets. Returns whether all others are known to be absent."""
        before = self._keys.get((place, name))
        if before is None and place in self._whole and name != _BARE:
            before = set()
        self._keys[place, name] = set(keys)
        return before is not None and before <= set(keys)


def _primary_order(row: EvalRow) -> tuple[bool, int, int]:
    """Returns the sort key of rows by which the first one is the primary eval."""
    is_in_loop = row.key.step is not None
    return is_in_loop, 0 if is_in_loop else row.primary_class or 0, row.position


class _PointTable(PointTable):
    """Training series whose points are collected before they are written."""

    _connection: _Buffered

    def load(self, experiment: int, wanted: Collection[tuple[_Place, int]]) -> None:
        """Loads the points of arms at some steps."""
        self._contents.update(dict.fromkeys(wanted, b""))
        bindings = ([at[1] for at, _ in wanted], [step for _, step in wanted])
        for arm, step, content in self._connection.read(_POINTS, (experiment, *bindings)):
            self._contents[(experiment, arm), step] = content

    def _put(self, place: _Place, step: int, content: bytes) -> None:
        self._connection.buffer.put(POINTS, (*place, step, content))

    def _put_key(self, place: _Place, identity: int, key: str) -> None:
        self._connection.buffer.put(POINT_KEYS, (*place, identity, key))


class _Writer(Writer):
    """Collects rows instead of writing them at once."""

    _loader: _Loader

    def __init__(
        self, connection: _Buffered, loader: _Loader, ranks: RankWriter, points: PointTable
    ) -> None:
        super().__init__(connection, loader, ranks, points)
        self._buffer = connection.buffer

    def put_stream(self, row: StreamRow) -> None:
        """Writes a stream."""
        self._loader.note_stream(row)
        self._buffer.put(STREAMS, (self._experiment, *codec.stream_values(row)))

    def put_part(self, place: _Place, part: str, content: bytes) -> None:
        """Writes a part of an arm."""
        self._loader.note_part(place, part, content)
        self._buffer.put(PARTS, (*place, part, content))

    def put_rows(self, place: _Place, rows: Sequence[EvalRow]) -> None:
        """Writes eval rows of an arm."""
        for row in rows:
            self._loader.note_row(place, row)
            self._buffer.put(EVALS, (*place, *codec.eval_values(row)))

    def put_arm(self, row: ArmRow) -> None:
        """Writes the row of an arm."""
        columns = codec.arm_values(row)
        self._loader.note_arm(row.name, columns)
        self._buffer.put(ARMS, (self._experiment, row.ordinal, *_without_ordinal(columns)))

    def put_scores(self, place: tuple[int, int, str], scores: RowScores | None) -> None:
        """Replaces all scores of an eval by the given scores."""
        found: dict[str, tuple[Any, ...]] = {}
        if scores is not None:
            shared = (int(scores.origin), scores.step, scores.benchmark_id)
            values = codec.values_of(scores.metrics.values())
            pairs = zip(scores.metrics, values, strict=True)
            found = {key: (value, *shared) for key, value in pairs}
        is_whole = self._loader.note_scores(place[:2], place[2], found)
        self._buffer.put_scores(place, found, is_whole=is_whole)

    def put_bare(self, place: _Place, scores: Mapping[str, ScoreRow]) -> None:
        """Replaces all bare scores of an arm."""
        values = {key: codec.score_values(score) for key, score in scores.items()}
        self._buffer.put_scores((*place, _BARE), values, is_whole=False)

    def put_training(self, place: _Place, scores: Mapping[str, ScoreRow]) -> None:
        """Writes bare scores of training metrics, unless their keys have other bare scores."""
        for key, score in scores.items():
            self._buffer.put_training((*place, _BARE), key, codec.score_values(score))

    def _write_arm(self, change: ArmChange) -> None:
        self._loader.note_new((self._experiment, change.row.ordinal), change.row.name)
        super()._write_arm(change)

    def _remove_rows(self, change: ArmChange, place: _Place) -> None:
        super()._remove_rows(change, place)
        self._loader.forget()

    def forget_arms(self) -> None:
        """Clears what is known of arms and streams, because some were removed."""
        super().forget_arms()
        self._loader.forget()
