"""What a transaction does on its connection: it loads, has decided, and writes."""

from typing import Any

import apsw

from podium_server.store.base import (
    ArmChange,
    Call,
    Changes,
    Loaded,
    Needs,
    Settlement,
    Standing,
    Subject,
)
from podium_server.store.rows import (
    COMPLETED,
    ArmRow,
    ExperimentRow,
    ScoreRow,
    StreamRow,
    StreamState,
)
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.loads import Loader
from podium_server.store.sqlite.ranks import RankWriter

__all__ = ["Transaction"]


def _put(table: str, columns: str, key: str, fixed: str = "") -> str:
    """A statement that writes a row, or the changed columns of the one that has the key.

    The `fixed` columns never change. To name them spares their indexes, which REPLACE would
    write anew with every row.
    """
    names = columns.split(", ")
    kept = {*key.split(", "), fixed}
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(names))}) "
        f"ON CONFLICT ({key}) DO UPDATE SET {changed}"
    )


_PUT_EXPERIMENT = _put("experiments", codec.EXPERIMENT_COLUMNS, "id", "name")
_PUT_CONTENT = "INSERT OR REPLACE INTO experiment_contents VALUES (?,?)"
_PUT_STREAM = _put(
    "streams",
    "experiment, writer_id, last_sequence, subject, state",
    "experiment, writer_id",
)
_PUT_ARM = _put("arms", f"experiment, {codec.ARM_COLUMNS}", "experiment, ordinal", "name")
_PUT_PART = "INSERT OR REPLACE INTO arm_parts VALUES (?,?,?,?)"
_PUT_EVAL = _put(
    "evals",
    f"experiment, arm, {codec.EVAL_COLUMNS}",
    "experiment, arm, name, post, step",
)
_SCORES_AT_ONCE = 8
_PUT_SCORES = [
    "INSERT INTO scores VALUES " + ",".join(["(?,?,?,?,?,?,?,?)"] * rows)
    for rows in range(_SCORES_AT_ONCE + 1)
]
"""Writes as many scores as its index says: one statement costs less than several."""
_PUT_TRAINING = (
    f"{_PUT_SCORES[1]} ON CONFLICT (experiment, arm, eval_name, key) "
    "DO UPDATE SET value = excluded.value WHERE origin = excluded.origin"
)
_DROP_SCORES = "DELETE FROM scores WHERE experiment = ? AND arm = ? AND eval_name = ?"
_DROP_EVAL = (
    "DELETE FROM evals WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_NOTE_REMOVAL = "INSERT OR REPLACE INTO removals VALUES (?,?,?,?,?,?)"
_NOTE_REMOVALS = (
    "INSERT OR REPLACE INTO removals "
    "SELECT experiment, ?, name, post, step, ? FROM evals WHERE experiment = ? AND arm = ?"
)
_DROP_EVALS = "DELETE FROM evals WHERE experiment = ? AND arm = ?"
_AFTER = " AND (post = 1 OR step > ?)"

_OF_AN_ARM = ("evals", "scores", "arm_parts")
_BARE = ""
"""The eval name that bare scores are kept under."""


class Transaction:
    """Calls that share one transaction, which is open on the connection.

    The rows of experiments are kept here in between and written by `finish`: calls that share a
    transaction mostly share an experiment too.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._loader = Loader(connection)
        self._experiments: dict[str, ExperimentRow] = {}
        self._changed: set[str] = set()
        self.subjects: set[Subject] = set()
        self._ranks = RankWriter(connection)

    def apply(self, call: Call[Any]) -> Changes:
        """Runs a call; raises what the call decides, before anything is written."""
        changes = call.decide(self._load(call.needs))
        row = changes.experiment
        if row is not None:
            if row.id is None:
                row.id = _create_experiment(self._connection, row)
            self._experiments[row.name] = row
            if changes.revision is not None:
                self._changed.add(row.name)
                self.subjects |= changes.subjects()
            writer = _Writer(self._connection, self._loader, self._ranks, changes, row.id)
            writer.write(call)
        return changes

    def finish(self) -> None:
        """Writes what was kept."""
        for name in self._changed:
            row = self._experiments[name]
            self._connection.execute(_PUT_EXPERIMENT, codec.experiment_values(row))
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


def _create_experiment(connection: apsw.Connection, row: ExperimentRow) -> int:
    connection.execute(_PUT_EXPERIMENT, codec.experiment_values(row))
    return connection.last_insert_rowid()


class _Writer:
    """Writes the changes of one call, but for its experiment's row."""

    def __init__(
        self,
        connection: apsw.Connection,
        loader: Loader,
        ranks: RankWriter,
        changes: Changes,
        experiment: int,
    ) -> None:
        self._execute = connection.execute
        self._loader = loader
        self._ranks = ranks
        self._changes = changes
        self._experiment = experiment

    def write(self, call: Call[Any]) -> None:
        """Writes everything, removals first, and what follows from it last."""
        changes = self._changes
        self._put_content()
        if changes.remove_experiment:
            self._remove_experiment()
        if changes.remove_arm is not None:
            self._remove_arm(changes.remove_arm)
        if changes.stream is not None:
            self._put_stream(changes.stream)
        for change in changes.arms:
            if change.was_completed or change.row.status == COMPLETED:
                self._write_ranked(change, call)
            else:
                self._write_settled(change, call)

    def _write_ranked(self, change: ArmChange, call: Call[Any]) -> None:
        """Writes an arm that is ranked before or after, and its place in the order."""
        place = (self._experiment, change.row.ordinal)
        is_completed = change.row.status == COMPLETED
        may_move = change.unsettled.any or change.was_completed != is_completed
        before = self._ranks.entries(*place) if may_move and change.was_completed else set()
        self._write_settled(change, call)
        after = self._ranks.entries(*place) if may_move and is_completed else set()
        self._ranks.note(self._experiment, self._changes.revision)
        self._ranks.replace(*place, before, after)

    def _write_settled(self, change: ArmChange, call: Call[Any]) -> None:
        """Writes an arm and what follows from its rows."""
        self._write_arm(change)
        if change.unsettled.any:
            self._settle(change, call.settle(change, self._standing(change)))
        self._put_arm(change.row)

    def _put_content(self) -> None:
        row = self._changes.experiment
        if row is not None and row.content is not None and self._changes.revision is not None:
            self._execute(_PUT_CONTENT, (self._experiment, row.content))

    def _put_stream(self, row: StreamRow) -> None:
        values = (self._experiment, row.writer_id, row.last_sequence, row.subject, int(row.state))
        self._execute(_PUT_STREAM, values)

    def _remove_experiment(self) -> None:
        here = (self._experiment,)
        for table in (*_OF_AN_ARM, "arms", "removals"):
            self._execute(f"DELETE FROM {table} WHERE experiment = ?", here)
        self._ranks.remove_experiment(self._experiment)
        self._ranks.note(self._experiment, self._changes.revision)
        self._execute(
            "UPDATE streams SET state = ? WHERE experiment = ?",
            (int(StreamState.EXPERIMENT_DELETED), *here),
        )

    def _remove_arm(self, row: ArmRow) -> None:
        place = (self._experiment, row.ordinal)
        if row.status == COMPLETED:
            self._ranks.note(self._experiment, self._changes.revision)
            self._ranks.replace(*place, self._ranks.entries(*place), set())
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

    def _note_removal(self, arm: str, key: tuple[str, int, int]) -> None:
        self._execute(_NOTE_REMOVAL, (self._experiment, arm, *key, self._changes.revision))

    def _write_arm(self, change: ArmChange) -> None:
        place = (self._experiment, change.row.ordinal)
        self._remove_rows(change, place)
        for part, content in change.parts.items():
            self._execute(_PUT_PART, (*place, part, content))
        for row in change.rows:
            self._execute(_PUT_EVAL, (*place, *codec.eval_values(row)))

    def _remove_rows(self, change: ArmChange, place: tuple[int, int]) -> None:
        removed = (change.row.name, self._changes.revision, *place)
        if change.clear_rows:
            self._execute(_NOTE_REMOVALS, removed)
            self._execute(_DROP_EVALS, place)
            self._execute("DELETE FROM scores WHERE experiment = ? AND arm = ?", place)
        elif change.cut_after is not None:
            self._execute(_NOTE_REMOVALS + _AFTER, (*removed, change.cut_after))
            self._execute(_DROP_EVALS + _AFTER, (*place, change.cut_after))
        for key in change.remove_keys:
            self._note_removal(change.row.name, codec.key_values(key))
            self._execute(_DROP_EVAL, (*place, *codec.key_values(key)))

    def _standing(self, change: ArmChange) -> Standing:
        """What stands in an arm now, as far as it is unsettled."""
        place = (self._experiment, change.row.ordinal)
        unsettled = change.unsettled
        load = self._loader
        names = load.names(place) if unsettled.all_names else unsettled.names
        standing = Standing({name: load.answering(place, name) for name in names})
        if unsettled.primary:
            standing.first = load.first(place)
            standing.parts = {part: load.part(place, part) for part in ("metrics", "given")}
        if change.cut_after is not None:
            standing.eval_count = load.count(place)
        return standing

    def _settle(self, change: ArmChange, settlement: Settlement) -> None:
        """Writes the scores that follow from what stands."""
        place = (self._experiment, change.row.ordinal)
        for name, scores in settlement.scores.items():
            self._execute(_DROP_SCORES, (*place, name or _BARE))
            self._put_scores((*place, name or _BARE), list(scores.items()))
        for key, score in settlement.training.items():
            self._execute(_PUT_TRAINING, (*place, _BARE, key, *codec.score_values(score)))

    def _put_scores(self, place: tuple[Any, ...], scores: list[tuple[str, ScoreRow]]) -> None:
        for first in range(0, len(scores), _SCORES_AT_ONCE):
            some = scores[first : first + _SCORES_AT_ONCE]
            values = [v for key, score in some for v in (*place, key, *codec.score_values(score))]
            self._execute(_PUT_SCORES[len(some)], values)

    def _put_arm(self, row: ArmRow) -> None:
        """Writes the row of an arm."""
        self._execute(_PUT_ARM, (self._experiment, *codec.arm_values(row)))
