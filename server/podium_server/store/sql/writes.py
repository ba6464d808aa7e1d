"""One transaction: loads what calls need, lets them decide, and writes their changes."""

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from podium_server.store.calls import (
    ArmChange,
    Call,
    Changes,
    CurrentRows,
    DerivedScores,
    Loaded,
    Needs,
    Subject,
)
from podium_server.store.rows import (
    COMPLETED,
    ArmRow,
    EvalRow,
    ExperimentRow,
    RowScores,
    ScoreRow,
    StreamRow,
    StreamState,
)
from podium_server.store.sql import codec
from podium_server.store.sql.connection import Connection, fetch_value
from podium_server.store.sql.loads import Loader
from podium_server.store.sql.points import POINT_TABLES, PointTable
from podium_server.store.sql.rank_index import RankWriter

__all__ = ["PUT_EXPERIMENT", "Transaction", "Writer"]


def _put(table: str, columns: str, key: str, fixed: str = "") -> str:
    """Returns a statement that inserts a row, or updates the row that has the key.

    The `fixed` column never changes. Unlike REPLACE, the statement does not write the index of that
    column again with every row.
    """
    names = columns.split(", ")
    kept = {*key.split(", "), fixed}
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(names))}) "
        f"ON CONFLICT ({key}) DO UPDATE SET {changed}"
    )


PUT_EXPERIMENT = _put("experiments", codec.EXPERIMENT_COLUMNS, "id", "name")
_PUT_CONTENT = _put("experiment_contents", "experiment, content", "experiment")
_PUT_STREAM = _put("streams", f"experiment, {codec.STREAM_COLUMNS}", "experiment, writer_id")
_PUT_ARM = _put("arms", f"experiment, {codec.ARM_COLUMNS}", "experiment, ordinal", "name")
_PUT_PART = _put("arm_parts", "experiment, arm, part, content", "experiment, arm, part")
_PUT_EVAL = _put(
    "evals",
    f"experiment, arm, {codec.EVAL_COLUMNS}",
    "experiment, arm, name, post, step",
)
_MOVING = ("revision", "updated", "next_position", "eval_count", "last_heard")
_MOVE_ARM = (
    f"UPDATE arms SET {', '.join(f'{name} = ?' for name in _MOVING)} "
    "WHERE experiment = ? AND ordinal = ?"
)
_lasting = itemgetter(
    *(at for at, name in enumerate(codec.ARM_COLUMNS.split(", ")) if name not in _MOVING)
)
"""Returns the columns of an arm that do not change with most eval rows."""
_SCORES_AT_ONCE = 8
_PUT_SCORES = [
    "INSERT INTO scores VALUES "
    + ",".join(f"(?1,?2,?3,?{at},?{at + 1},?4,?5,?6)" for at in range(7, 7 + 2 * scores, 2))
    for scores in range(_SCORES_AT_ONCE + 1)
]
"""Statements by the number of scores that each writes. One statement is faster than several."""
_PUT_BARE = "INSERT INTO scores VALUES (?,?,?,?,?,?,?,?)"
_PUT_TRAINING = (
    "INSERT INTO scores VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (experiment, arm, eval_name, key) "
    "DO UPDATE SET value = excluded.value WHERE scores.origin = excluded.origin"
)
_DROP_SCORES = "DELETE FROM scores WHERE experiment = ? AND arm = ? AND eval_name = ?"
_DROP_EVAL = (
    "DELETE FROM evals WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_NOTE_REMOVAL = _put(
    "removals",
    "experiment, arm, eval_name, post, step, revision",
    "experiment, arm, eval_name, post, step",
)
_NOTE_REMOVALS = (
    "INSERT INTO removals SELECT experiment, CAST(? AS TEXT), name, post, step, CAST(? AS BIGINT) "
    "FROM evals WHERE experiment = ? AND arm = ?"
)
_RENEW_REMOVALS = (
    " ON CONFLICT (experiment, arm, eval_name, post, step) "
    "DO UPDATE SET revision = excluded.revision"
)
_DROP_EVALS = "DELETE FROM evals WHERE experiment = ? AND arm = ?"
_AFTER = " AND (post = 1 OR step > ?)"

_OF_AN_ARM = ("evals", "scores", "arm_parts")
_Place = tuple[int, int]
_BARE = ""
"""The stored eval name of bare scores, which have no eval name."""


class Transaction:
    """Applies calls that share one transaction, which is open on the connection.

    Calls that share a transaction often share an experiment too. So the rows of experiments are
    kept in memory, and `finish` writes each of them once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loader, self._ranks, self._writer = self._tables()
        self._experiments: dict[str, ExperimentRow] = {}
        self._changed: set[str] = set()
        self.subjects: set[Subject] = set()

    def _tables(self) -> "tuple[Loader, RankWriter, Writer]":
        points = PointTable(self._connection)
        loader, ranks = Loader(self._connection, points), RankWriter(self._connection)
        return loader, ranks, Writer(self._connection, loader, ranks, points)

    def apply(self, call: Call[Any]) -> Changes:
        """Runs a call. If the call raises an error, it has written nothing."""
        changes = call.decide(self._load(call.needs))
        row = changes.experiment
        if row is not None:
            if row.id is None:
                row.id = self._create_experiment(row)
            self._experiments[row.name] = row
            if changes.revision is not None:
                self._changed.add(row.name)
            self.subjects |= changes.subjects()
            self._writer.write(call, changes, row.id)
            row.row_count -= self._writer.removed_rows
        return changes

    def finish(self) -> None:
        """Writes the rows of experiments, and the changes of the rank index."""
        for name in self._changed:
            columns = codec.experiment_values(self._experiments[name])
            self._connection.execute(PUT_EXPERIMENT, columns)
        self._ranks.finish()

    def _load(self, needs: Needs) -> Loaded:
        experiment = self._load_experiment(needs)
        if experiment is None or experiment.id is None:
            return Loaded(None, None, {})
        here, writer = experiment.id, needs.writer_id
        stream = None if writer is None else self._loader.stream(here, writer)
        arms = {
            name: arm
            for name, wanted in needs.arms.items()
            if (arm := self._loader.arm(here, name, wanted)) is not None
        }
        return Loaded(experiment, stream, arms)

    def _load_experiment(self, needs: Needs) -> ExperimentRow | None:
        known = self._experiments.get(needs.experiment)
        row = self._loader.experiment(needs.experiment) if known is None else known.copy()
        if row is not None:
            row.content = self._loader.content(row) if needs.content else None
        return row

    def _create_experiment(self, row: ExperimentRow) -> int:
        values = codec.experiment_values(row)
        number: int = fetch_value(self._connection, f"{PUT_EXPERIMENT} RETURNING id", values)
        return number


class Writer:
    """Writes the changes of calls one after the other, except the rows of experiments.

    Attributes:
        removed_rows: The number of rows that the last call has removed, and that `decide` could not
            count (see `ArmChange.added_rows`).
    """

    removed_rows = 0

    def __init__(
        self, connection: Connection, loader: Loader, ranks: RankWriter, points: PointTable
    ) -> None:
        self._execute, self._executemany = connection.execute, connection.executemany
        self._loader = loader
        self._ranks = ranks
        self._points = points

    def write(self, call: Call[Any], changes: Changes, experiment: int) -> None:
        """Writes the changes of a call: removals first, derived scores last."""
        self._changes, self._experiment = changes, experiment
        self.removed_rows = 0
        self._put_content()
        if changes.remove_experiment:
            self._remove_experiment()
        if changes.remove_arm is not None:
            self._remove_arm(changes.remove_arm)
        if changes.stream is not None:
            self.put_stream(changes.stream)
        for change in changes.arms:
            if change.was_completed or change.row.status == COMPLETED:
                self._write_ranked(change, call)
            else:
                self._write_with_scores(change, call)

    def _write_ranked(self, change: ArmChange, call: Call[Any]) -> None:
        """Writes an arm that is ranked before or after the change. Updates the rank index."""
        place = (self._experiment, change.row.ordinal)
        is_completed = change.row.status == COMPLETED
        may_move = change.stale_scores.any or change.was_completed != is_completed
        before = self._ranks.entries(*place) if may_move and change.was_completed else set()
        self._write_with_scores(change, call)
        after = self._ranks.entries(*place) if may_move and is_completed else set()
        self._ranks.note(self._experiment, self._changes.revision)
        self._ranks.replace(*place, before, after)

    def _write_with_scores(self, change: ArmChange, call: Call[Any]) -> None:
        """Writes an arm, and the scores that are derived from its rows."""
        self._write_arm(change)
        counted = change.row.eval_count
        if change.stale_scores.any:
            self._write_scores(change, call.derive(change, self._current_rows(change)))
        self.removed_rows += counted - change.row.eval_count
        self.put_arm(change.row)

    def _put_content(self) -> None:
        row = self._changes.experiment
        if row is not None and row.content is not None and self._changes.revision is not None:
            self._execute(_PUT_CONTENT, (self._experiment, row.content))

    def put_stream(self, row: StreamRow) -> None:
        """Writes a stream."""
        self._execute(_PUT_STREAM, (self._experiment, *codec.stream_values(row)))

    def _remove_experiment(self) -> None:
        self.forget_arms()
        here = (self._experiment,)
        for table in (*_OF_AN_ARM, *POINT_TABLES, "arms", "removals"):
            self._execute(f"DELETE FROM {table} WHERE experiment = ?", here)
        self._ranks.remove_experiment(self._experiment)
        self._ranks.note(self._experiment, self._changes.revision)
        self._execute(
            "UPDATE streams SET state = ? WHERE experiment = ?",
            (int(StreamState.EXPERIMENT_DELETED), *here),
        )

    def _remove_arm(self, row: ArmRow) -> None:
        self.forget_arms()
        place = (self._experiment, row.ordinal)
        if row.status == COMPLETED:
            self._ranks.note(self._experiment, self._changes.revision)
            self._ranks.replace(*place, self._ranks.entries(*place), set())
        self.removed_rows += self._points.clear(place)
        for table in _OF_AN_ARM:
            self._execute(f"DELETE FROM {table} WHERE experiment = ? AND arm = ?", place)
        self._execute("DELETE FROM arms WHERE experiment = ? AND ordinal = ?", place)
        self._execute(
            "DELETE FROM removals WHERE experiment = ? AND arm = ?", (self._experiment, row.name)
        )
        self._note_removal(row.name, ("", 0, 0))
        self._execute(
            "UPDATE streams SET state = ? WHERE experiment = ? AND subject = ? AND state = ?",
            (int(StreamState.ARM_DELETED), self._experiment, row.name, int(StreamState.OPEN)),
        )

    def forget_arms(self) -> None:
        """Clears the cached data of arms, because some of it was removed."""
        self._loader.columns.clear()
        self._points.forget()

    def _note_removal(self, arm: str, key: tuple[str, int, int]) -> None:
        self._execute(_NOTE_REMOVAL, (self._experiment, arm, *key, self._changes.revision))

    def _write_arm(self, change: ArmChange) -> None:
        place = (self._experiment, change.row.ordinal)
        if change.clear_rows or change.cut_after is not None or change.remove_keys:
            self._remove_rows(change, place)
        for part, content in change.parts.items():
            self.put_part(place, part, content)
        if change.rows:
            self.put_rows(place, change.rows)
        if change.clear_points:
            self.removed_rows += self._points.clear(place)
        elif change.cut_points_after is not None:
            self.removed_rows += self._points.cut(place, change.cut_points_after)
        for step, values in change.points.items():
            self._points.put(place, step, values)

    def _remove_rows(self, change: ArmChange, place: _Place) -> None:
        removed = (change.row.name, self._changes.revision, *place)
        if change.clear_rows:
            self._execute(_NOTE_REMOVALS + _RENEW_REMOVALS, removed)
            self._execute(_DROP_EVALS, place)
            self._execute("DELETE FROM scores WHERE experiment = ? AND arm = ?", place)
        elif change.cut_after is not None:
            self._execute(_NOTE_REMOVALS + _AFTER + _RENEW_REMOVALS, (*removed, change.cut_after))
            self._execute(_DROP_EVALS + _AFTER, (*place, change.cut_after))
        for key in change.remove_keys:
            self._note_removal(change.row.name, codec.key_values(key))
            self._execute(_DROP_EVAL, (*place, *codec.key_values(key)))

    def _current_rows(self, change: ArmChange) -> CurrentRows:
        """Loads the rows that stale scores are derived from."""
        place = (self._experiment, change.row.ordinal)
        stale_scores = change.stale_scores
        load = self._loader
        names = load.names(place) if stale_scores.all_names else stale_scores.names
        current_rows = CurrentRows({name: load.answering(place, name) for name in names})
        if stale_scores.primary:
            current_rows.first = load.first(place)
            current_rows.parts = {part: load.part(place, part) for part in ("metrics", "given")}
        if change.cut_after is not None:
            current_rows.eval_count = load.count(place)
        return current_rows

    def _write_scores(self, change: ArmChange, derived: DerivedScores) -> None:
        place = (self._experiment, change.row.ordinal)
        for name, scores in derived.scores.items():
            self.put_scores((*place, name), scores)
        if derived.bare is not None:
            self.put_bare(place, derived.bare)
        if derived.training:
            self.put_training(place, derived.training)

    def put_part(self, place: _Place, part: str, content: bytes) -> None:
        """Writes a part of an arm."""
        self._execute(_PUT_PART, (*place, part, content))

    def put_rows(self, place: _Place, rows: Sequence[EvalRow]) -> None:
        """Writes eval rows of an arm."""
        self._executemany(_PUT_EVAL, [(*place, *codec.eval_values(row)) for row in rows])

    def put_bare(self, place: _Place, scores: Mapping[str, ScoreRow]) -> None:
        """Replaces the bare scores of an arm: the scores that have no eval name."""
        self._execute(_DROP_SCORES, (*place, _BARE))
        for key, score in scores.items():
            self._execute(_PUT_BARE, (*place, _BARE, key, *codec.score_values(score)))

    def put_training(self, place: _Place, scores: Mapping[str, ScoreRow]) -> None:
        """Writes the scores of training metrics, which have no eval name.

        Does not replace a score of another origin.
        """
        for key, score in scores.items():
            self._execute(_PUT_TRAINING, (*place, _BARE, key, *codec.score_values(score)))

    def put_scores(self, place: tuple[int, int, str], scores: RowScores | None) -> None:
        """Replaces all scores of an eval by the given scores."""
        self._execute(_DROP_SCORES, place)
        if scores is None:
            return
        metrics = scores.metrics
        shared = (*place, int(scores.origin), scores.step, scores.benchmark_id)
        pairs = list(zip(metrics, codec.values_of(metrics.values()), strict=True))
        for first in range(0, len(pairs), _SCORES_AT_ONCE):
            some = pairs[first : first + _SCORES_AT_ONCE]
            self._execute(_PUT_SCORES[len(some)], (*shared, *chain.from_iterable(some)))

    def put_arm(self, row: ArmRow) -> None:
        """Writes the row of an arm.

        Writes only its `_MOVING` columns if the others are unchanged.
        """
        columns, place = codec.arm_values(row), (self._experiment, row.ordinal)
        before = self._loader.columns.get(place)
        if before is not None and _lasting(before) == _lasting(columns):
            moved = (row.revision, row.updated, row.next_position, row.eval_count, row.last_heard)
            self._execute(_MOVE_ARM, (*moved, *place))
        else:
            self._execute(_PUT_ARM, (self._experiment, *columns))
        self._loader.columns[place] = columns
