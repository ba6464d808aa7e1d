"""Loads the rows that calls on one experiment need, with one statement for each table.

Rows that are already known are not loaded.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from podium.scoring import precedence

from podium_server.errors import failure
from podium_server.store.calls import ArmNeeds, Needs
from podium_server.store.postgres.known import KnownRows, Place
from podium_server.store.postgres.names import experiment_id
from podium_server.store.postgres.points import BEFORE_ALL, PostgresPoints, ReadingConnection
from podium_server.store.rows import EvalKey, EvalRow, ExperimentRow, StreamRow
from podium_server.store.sql import codec
from podium_server.store.sql.connection import fetch
from podium_server.store.sql.loads import Loader

__all__ = ["LOCK", "PostgresLoader"]

_BARE = ""
_COLUMNS = codec.ARM_COLUMNS.split(", ")
_WIDTH = len(_COLUMNS)
_ORDINAL, _EVAL_COUNT = _COLUMNS.index("ordinal"), _COLUMNS.index("eval_count")
_Current = tuple[tuple[bool, int], EvalRow | None]

# The update changes nothing. It locks the row, and returns it as the last transaction left it.
LOCK = (
    "UPDATE experiments SET deleted = deleted WHERE id = ? "
    f"RETURNING write_id, {codec.EXPERIMENT_COLUMNS}"
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
    f"SELECT {', '.join(f'a.{name}' for name in _COLUMNS)}, u.name, {_KEYS}, "
    f"{', '.join(f'e.{name}' for name in codec.EVAL_COLUMNS.split(', '))} "
    "FROM unnest(CAST(?2 AS TEXT[]), CAST(?3 AS TEXT[])) AS u(arm, name) "
    "JOIN arms a ON a.experiment = ?1 AND a.name = u.arm LEFT JOIN LATERAL "
    f"(SELECT {codec.EVAL_COLUMNS} FROM evals WHERE experiment = ?1 AND evals.arm = a.ordinal "
    "AND evals.name = u.name ORDER BY post DESC, step DESC LIMIT 1) e ON TRUE"
)
"""Selects arms by name, each with an eval: the keys of the eval's scores, and the row that
`eval(name)` returns."""
_ROWS = (
    f"SELECT u.arm, {', '.join(f'e.{name}' for name in codec.EVAL_COLUMNS.split(', '))} "
    "FROM unnest(CAST(?2 AS BIGINT[]), CAST(?3 AS TEXT[]), CAST(?4 AS BIGINT[]), "
    "CAST(?5 AS BIGINT[])) AS u(arm, name, post, step) JOIN evals e ON e.experiment = ?1 "
    "AND e.arm = u.arm AND e.name = u.name AND e.post = u.post AND e.step = u.step"
)


class PostgresLoader(Loader):
    """Looks up rows. Runs no statement for rows that are known or written by the transaction.

    All rows of the arms in `_whole` are known.
    """

    _connection: ReadingConnection
    _points: PostgresPoints

    def __init__(
        self, connection: ReadingConnection, points: PostgresPoints, known: KnownRows
    ) -> None:
        super().__init__(connection, points)
        self._rows: dict[Place, dict[EvalKey, EvalRow | None]] = defaultdict(dict)
        self._whole: set[Place] = set()
        self.use(known)

    def use(self, known: KnownRows) -> None:
        """Replaces the known rows by `known`."""
        self.known = self._points.known = known

    def forget(self) -> None:
        """Forgets arms and streams, because some of their data was removed."""
        self.columns.clear()
        self._rows.clear()
        self._whole.clear()
        self.known.forget_arms()

    def load(self, experiment: int, needs: Sequence[Needs]) -> None:
        """Loads the rows that calls need and that are not known: one statement for each table."""
        streams, put = self.known.streams, self.known.put
        named = {each.writer_id for each in needs if each.writer_id is not None}
        # `set - dict.keys()` would take longer the more rows are known.
        writers = {writer for writer in named if writer not in streams}
        if writers:
            for writer in writers:
                put(streams, writer, None)
            for values in self._connection.read(_STREAMS, (experiment, list(writers))):
                put(streams, values[0], codec.stream_from(values))
        arms = [pair for each in needs for pair in each.arms.items()]
        if arms:
            unknown = (pair for each in arms for pair in self._unknown(experiment, *each))
            self._load_arms(experiment, set(unknown))
            places = [
                ((experiment, columns[_ORDINAL]), wanted)
                for name, wanted in arms
                if (columns := self.known.arms[name]) is not None
            ]
            self._load_of_arms(experiment, places)

    def _unknown(
        self, experiment: int, name: str, wanted: ArmNeeds
    ) -> Iterable[tuple[str, str | None]]:
        """Returns what to load, as pairs of the arm's name and the name of an unknown eval.

        A pair with None loads the arm itself.
        """
        names = set() if wanted.all_rows else {key.name for key in wanted.keys}
        known = self.known
        if name not in known.arms:
            return [(name, each) for each in {None, *names}]
        columns = known.arms[name]
        if columns is None:
            return ()
        place = (experiment, columns[_ORDINAL])
        if columns[_EVAL_COUNT] == 0:
            self._whole.add(place)
            return ()
        return [(name, each) for each in names if (place, each) not in known.answering]

    def _load_arms(self, experiment: int, pairs: Collection[tuple[str, str | None]]) -> None:
        """Loads arms, and the row that `eval(name)` returns for each pair with an eval name."""
        if not pairs:
            return
        known = self.known
        for name, _ in pairs:
            if name not in known.arms:
                known.put(known.arms, name, None)
        bindings = ([arm for arm, _ in pairs], [name for _, name in pairs])
        for values in self._connection.read(_ARMS, (experiment, *bindings)):
            columns, (name, keys, *found) = values[:_WIDTH], values[_WIDTH:]
            arm = codec.arm_from(columns)
            place = (experiment, arm.ordinal)
            known.put(known.arms, arm.name, columns)
            if arm.eval_count == 0:
                self._whole.add(place)
            if name is not None:
                row = None if found[0] is None else codec.eval_from(found)
                known.put(known.answering, (place, name), row)
                known.put(known.score_keys, (place, name), frozenset(keys or ()))

    def _load_of_arms(self, experiment: int, places: Sequence[tuple[Place, ArmNeeds]]) -> None:
        """Loads the points, parts and rows of arms that calls need."""
        steps = {(at, step) for at, w in places for step in w.point_steps}
        if steps:
            self._points.load(experiment, steps)
        known = self.known.parts
        parts = {(at, part) for at, w in places for part in w.parts if (at, part) not in known}
        self._load_parts(experiment, parts)
        keys = {(at, key) for at, w in places if not w.all_rows for key in w.keys}
        self._load_rows(experiment, {pair for pair in keys if pair[0] not in self._whole})

    def _load_parts(self, experiment: int, wanted: Collection[tuple[Place, str]]) -> None:
        if wanted:
            for each in wanted:
                self.known.put(self.known.parts, each, b"")
            arms, names = [at[1] for at, _ in wanted], [part for _, part in wanted]
            for arm, part, content in self._connection.read(_PARTS, (experiment, arms, names)):
                self.known.put(self.known.parts, ((experiment, arm), part), content)

    def _load_rows(self, experiment: int, wanted: Collection[tuple[Place, EvalKey]]) -> None:
        """Loads the wanted rows that precede the row that `eval(name)` returns.

        That row is known already, and no row of its eval comes after it.
        """
        answering = self.known.answering
        others = [
            (at, key)
            for at, key in wanted
            if (found := answering[at, key.name]) is not None
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
        """Locks the row of an experiment until the transaction ends. Returns the row, or None.

        Forgets the known rows if another server has written to the experiment.
        """
        for write_id, *columns in fetch(self._connection, LOCK, (experiment_id(name),)):
            row = codec.experiment_from(columns)
            if row.name != name:
                text = (
                    f"experiment {name!r} would have the same id as experiment {row.name!r}; "
                    "choose another name"
                )
                raise failure("NAME_INVALID", text)
            if self.known.write_id != write_id:
                is_contended = self.known.experiment is not None
                self.use(KnownRows(write_id, is_contended=is_contended))
            else:
                self.known.is_contended = False
            self.known.experiment = row
            return row
        return None

    def stream(self, experiment: int, writer_id: str) -> StreamRow | None:
        """Returns the stream of a writer, or None."""
        streams = self.known.streams
        if writer_id not in streams:
            self.known.put(streams, writer_id, super().stream(experiment, writer_id))
        row = streams[writer_id]
        return None if row is None else replace(row)

    def arm_columns(self, experiment: int, name: str) -> tuple[Any, ...] | None:
        """Returns the column values of an arm, or None."""
        arms = self.known.arms
        if name not in arms:
            self.known.put(arms, name, super().arm_columns(experiment, name))
        return arms[name]

    def part(self, place: Place, part: str) -> bytes:
        """Returns a part of an arm, or b"" if it is empty."""
        parts = self.known.parts
        if (place, part) not in parts:
            self.known.put(parts, (place, part), super().part(place, part))
        return parts[place, part]

    def answering(self, place: Place, name: str) -> EvalRow | None:
        """Returns the row that `eval(name)` returns without a step, or None."""
        if place in self._whole:
            rows = [row for row in self._all(place) if row.key.name == name]
            return max(rows, key=lambda row: precedence(row.key.step), default=None)
        known = self.known.answering
        if (place, name) not in known:
            self.known.put(known, (place, name), super().answering(place, name))
        return known[place, name]

    def row(self, place: Place, key: EvalKey) -> EvalRow | None:
        """Returns the row with a key, or None."""
        rows = self._rows[place]
        if place in self._whole:
            return rows.get(key)
        if key not in rows:
            rows[key] = super().row(place, key)
        return rows[key]

    def first(self, place: Place) -> EvalRow | None:
        """Returns the primary eval (the first row by class and position), or None."""
        if place not in self._whole:
            return super().first(place)
        rows = [row for row in self._all(place) if row.primary_class is not None]
        return min(rows, key=_primary_order, default=None)

    def _all(self, place: Place) -> list[EvalRow]:
        return [row for row in self._rows[place].values() if row is not None]

    def _all_rows(self, place: Place, needs: ArmNeeds) -> dict[EvalKey, EvalRow]:
        if place in self._whole:
            return {row.key: row for row in self._all(place)}
        return super()._all_rows(place, needs)

    def note_arm(self, name: str, columns: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Adds an arm that the transaction writes to the known rows.

        Returns the columns that were known before, or None.
        """
        before = self.known.arms.get(name)
        self.known.put(self.known.arms, name, columns)
        return before

    def note_new(self, place: Place, name: str) -> None:
        """Stores that all rows of a new arm are known: it has none.

        Does nothing if the arm may already be stored.
        """
        if self.known.arms.get(name, ()) is None:
            self._whole.add(place)
            self._points.note_new(place)

    def note_rows(self, place: Place, rows: Sequence[EvalRow]) -> bool:
        """Adds rows that the transaction writes to the known rows.

        Returns whether it is certain that none of the rows was stored before. That is certain for a
        row that comes after the one that `eval(name)` returns. It is also certain for a row with a
        new key if all rows of the arm are known.
        """
        are_new, noted, is_whole = True, self._rows[place], place in self._whole
        current: dict[str, _Current | None] = {}
        for row in rows:
            name, step = key = row.key
            if name not in current:
                current[name] = self._current(place, name)
            newest, at = current[name], precedence(step)
            if newest is not None and at >= newest[0]:
                are_new = are_new and at > newest[0]
                current[name] = (at, row)
            elif not (is_whole and noted.get(key) is None):
                are_new = False
            noted[key] = row
        for name, newest in current.items():
            if newest is not None:
                self.known.put(self.known.answering, (place, name), newest[1])
        return are_new

    def _current(self, place: Place, name: str) -> _Current | None:
        """Returns a pair: the precedence of the row that `eval(name)` returns, and this row.

        The row in the pair is None if the eval has no rows. Returns None if the row is not known.
        """
        answering = self.known.answering
        if (place, name) not in answering and place not in self._whole:
            return None
        row = answering.get((place, name))
        return ((False, BEFORE_ALL), None) if row is None else (precedence(row.key.step), row)

    def note_scores(self, place: Place, name: str, keys: Collection[str]) -> bool:
        """Stores the keys of the scores that an eval gets.

        Returns whether it is known that the eval has no stored scores on other keys.
        """
        known, after = self.known.score_keys, frozenset(keys)
        before = known.get((place, name))
        if before != after:
            self.known.put(known, (place, name), after)
        if before is None:
            return place in self._whole and name != _BARE
        return before <= after

    def settle(self) -> None:
        """Adds the keys of training series to the known rows."""
        self._points.settle()


def _primary_order(row: EvalRow) -> tuple[bool, int, int]:
    """Returns the sort key of a row. The first row in this order is the primary eval."""
    is_in_loop = row.key.step is not None
    return is_in_loop, 0 if is_in_loop else row.primary_class or 0, row.position
