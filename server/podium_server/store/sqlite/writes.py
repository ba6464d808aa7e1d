"""What a transaction does on its connection: load, write, and look up what then stands."""

from typing import Any

import apsw
from podium.scoring import precedence

from podium_server.store.base import (
    ArmChange,
    ArmNeeds,
    Call,
    Changes,
    Loaded,
    LoadedArm,
    Needs,
    Settlement,
    Standing,
    Subject,
)
from podium_server.store.rows import (
    COMPLETED,
    ArmRow,
    EvalKey,
    EvalRow,
    ExperimentRow,
    ScoreRow,
    StreamRow,
    StreamState,
)
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch, fetch_value
from podium_server.store.sqlite.ranks import RankWriter

__all__ = ["Transaction"]

_FIND_EXPERIMENT = f"SELECT {codec.EXPERIMENT_COLUMNS} FROM experiments WHERE name = ?"
_FIND_CONTENT = "SELECT content FROM experiment_contents WHERE experiment = ?"
_FIND_STREAM = (
    "SELECT writer_id, last_sequence, subject, state FROM streams "
    "WHERE experiment = ? AND writer_id = ?"
)
_FIND_ARM = f"SELECT {codec.ARM_COLUMNS} FROM arms WHERE experiment = ? AND name = ?"
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
            _Writer(self._connection, changes, row.id, self._ranks).write(call)
        return changes

    def finish(self) -> None:
        """Writes what was kept."""
        for name in self._changed:
            row = self._experiments[name]
            self._connection.execute(_PUT_EXPERIMENT, codec.experiment_values(row))
        self._ranks.finish()

    def _load(self, needs: Needs) -> Loaded:
        experiment = self._load_experiment(needs)
        if experiment is None:
            return Loaded(None, None, {})
        stream = _load_stream(self._connection, experiment, needs.writer_id)
        arms = {
            name: arm
            for name, wanted in needs.arms.items()
            if (arm := _load_arm(self._connection, experiment, name, wanted)) is not None
        }
        return Loaded(experiment, stream, arms)

    def _load_experiment(self, needs: Needs) -> ExperimentRow | None:
        known = self._experiments.get(needs.experiment)
        if known is not None:
            row = known.copy()
        else:
            found = fetch(self._connection, _FIND_EXPERIMENT, (needs.experiment,))
            if not found:
                return None
            row = codec.experiment_from(found[0])
        row.content = None
        if needs.content:
            row.content = fetch_value(self._connection, _FIND_CONTENT, (row.id,))
        return row


def _create_experiment(connection: apsw.Connection, row: ExperimentRow) -> int:
    connection.execute(_PUT_EXPERIMENT, codec.experiment_values(row))
    return connection.last_insert_rowid()


def _load_stream(
    connection: apsw.Connection, experiment: ExperimentRow, writer_id: str | None
) -> StreamRow | None:
    if writer_id is None:
        return None
    found = fetch(connection, _FIND_STREAM, (experiment.id, writer_id))
    return codec.stream_from(found[0]) if found else None


def _load_arm(
    connection: apsw.Connection, experiment: ExperimentRow, name: str, needs: ArmNeeds
) -> LoadedArm | None:
    found = fetch(connection, _FIND_ARM, (experiment.id, name))
    if not found:
        return None
    row = codec.arm_from(found[0])
    place = (experiment.id, row.ordinal)
    parts = {part: _load_part(connection, place, part) for part in needs.parts}
    if needs.all_rows:
        return LoadedArm(row, parts, _load_all_rows(connection, place, needs))
    names = {key.name for key in needs.keys}
    answering = {name: _load_answering(connection, place, name) for name in names}
    loaded = LoadedArm(row, parts, {}, answering)
    for key in needs.keys:
        found_row = _load_row(connection, place, key, answering[key.name])
        if found_row is not None:
            loaded.rows[key] = found_row
    return loaded


def _load_all_rows(
    connection: apsw.Connection, place: tuple[Any, ...], needs: ArmNeeds
) -> dict[EvalKey, EvalRow]:
    found = [codec.eval_from(values) for values in fetch(connection, _ALL_EVALS, place)]
    rows = {row.key: row for row in found}
    for key in needs.keys & rows.keys():
        [values] = fetch(connection, _FIND_EVAL, (*place, *codec.key_values(key)))
        rows[key] = codec.eval_from(values)
    for key in needs.sizes.keys() & rows.keys() - needs.keys:
        for size in needs.sizes[key]:
            wanted = (*place, *codec.key_values(key), size)
            rows[key].content = (
                fetch_value(connection, _CONTENT_OF_SIZE, wanted) or rows[key].content
            )
    return rows


def _load_answering(
    connection: apsw.Connection, place: tuple[Any, ...], name: str
) -> EvalRow | None:
    for values in fetch(connection, _ANSWERING, (*place, name)):
        return codec.eval_from(values)
    return None


def _load_row(
    connection: apsw.Connection, place: tuple[Any, ...], key: EvalKey, answering: EvalRow | None
) -> EvalRow | None:
    """The row of a key; none is looked up before the one that answers for its name."""
    if answering is None or precedence(key.step) > precedence(answering.key.step):
        return None
    if key == answering.key:
        return answering
    for values in fetch(connection, _FIND_EVAL, (*place, *codec.key_values(key))):
        return codec.eval_from(values)
    return None


def _load_part(connection: apsw.Connection, place: tuple[Any, ...], part: str) -> bytes:
    content: bytes | None = fetch_value(connection, _FIND_PART, (*place, part))
    return content or b""


class _Writer:
    """Writes the changes of one call, but for its experiment's row."""

    def __init__(
        self, connection: apsw.Connection, changes: Changes, experiment: int, ranks: RankWriter
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._changes = changes
        self._experiment = experiment
        self._ranks = ranks

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
        names = self._names(place) if unsettled.all_names else unsettled.names
        standing = Standing(
            {name: _load_answering(self._connection, place, name) for name in names}
        )
        if unsettled.primary:
            standing.first = self._first(place)
            standing.parts = {
                part: _load_part(self._connection, place, part) for part in ("metrics", "given")
            }
        if change.cut_after is not None:
            standing.eval_count = fetch_value(self._connection, _COUNT_EVALS, place)
        return standing

    def _names(self, place: tuple[int, int]) -> list[str]:
        """Every eval that has scores or rows."""
        return [name for (name,) in fetch(self._connection, _NAMES, place * 2)]

    def _first(self, place: tuple[int, int]) -> EvalRow | None:
        for query in (_FIRST_POST_TRAINING, _FIRST_IN_LOOP):
            for values in fetch(self._connection, query, place):
                return codec.eval_from(values)
        return None

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
