"""The rows of one arm that a call has loaded and changed."""

from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp
from podium.scoring import precedence
from podium.v1.arm_result_pb2 import ARM_STATUS_RUNNING
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.run_config_pb2 import RunConfig

from podium_server.store.calls import ArmChange, LoadedArm
from podium_server.store.rows import (
    COMPLETED,
    SERIES_PART,
    VALUES_PART,
    EvalKey,
    EvalRow,
    ExperimentRow,
)
from podium_server.store.series_changes import FIRST_STEP, LAST_STEP, with_change
from podium_server.writes.run_config_values import config_values

__all__ = ["ArmState", "ParsedRow", "Progress"]

_HEARD_MICROS = 5_000_000
_TIME_TAG = EvalResult(event_time=Timestamp()).SerializeToString()[:-1]
"""The tag of `event_time` in an encoded row. The length and the encoded time follow.

Joining these bytes takes half as long as encoding a row that has only the time.
"""


@dataclass(slots=True)
class ParsedRow:
    """An eval row of an event, parsed once.

    `primary_class` is its class as a primary eval (see `podium.scoring.primary_class`).
    """

    arm: str
    attempt_id: str | None
    key: EvalKey
    content: bytes
    primary_class: int | None
    model_ref: str | None


class Progress:
    """The state of a call that all of its arms share.

    `now` is the time of the call in microseconds since 1970. `revision` is the revision of the
    changes of the call, and `changes_made` is their number. The object must not refer to an arm:
    without such a cycle, a call is freed as soon as it ends.
    """

    def __init__(self, experiment: ExperimentRow, now: int) -> None:
        self.experiment = experiment
        self.now = now
        self.revision = experiment.revision + 1
        self.changes_made = 0
        self._stamp = b""

    def stamp(self, event_time: Timestamp | None) -> bytes:
        """Encodes the output-only fields of a row that this call writes."""
        if not self._stamp:
            self._stamp = self._encoded_stamp()
        if event_time is None:
            return self._stamp
        time = event_time.SerializeToString()
        return self._stamp + _TIME_TAG + bytes((len(time),)) + time

    def _encoded_stamp(self) -> bytes:
        """Returns the part of the result of `stamp` that is the same for every row."""
        row = EvalResult(revision=self.revision)
        seconds, micros = divmod(self.now, 1_000_000)
        row.record_time.seconds, row.record_time.nanos = seconds, micros * 1000
        return row.SerializeToString()

    def count(self, before: int, after: int) -> None:
        """Updates the number of arms in each status. `before` is 0 for a new arm."""
        counts = list(self.experiment.counts)
        if before:
            counts[before] -= 1
        counts[after] += 1
        self.experiment.counts = tuple(counts)


@dataclass(slots=True)
class _Cut:
    """The rows that a call removes: all rows (`everything`), or those with the `keys`.

    If `after` is set, also the post-training rows, and the in-loop rows after this step.
    """

    after: int | None = None
    everything: bool = False
    keys: set[EvalKey] = field(default_factory=set)

    def keeps(self, key: EvalKey) -> bool:
        if self.everything or key in self.keys:
            return False
        return self.after is None or (key.step is not None and key.step <= self.after)


class ArmState:
    """An arm: its row, its parts, and its stored, written and removed eval rows."""

    def __init__(self, loaded: LoadedArm, call: Progress) -> None:
        self.row = loaded.row
        self.changed = False
        self._call = call
        self._loaded = loaded
        self._parts: dict[str, bytes] = {}
        self._written: dict[EvalKey, EvalRow] = {}
        self._cut = _Cut()
        self._series_from: int | None = None
        self._rows_before = 1 + self.row.eval_count if self.row.status else 0
        self._change = ArmChange(self.row, was_completed=self.row.status == COMPLETED)

    def touch(self) -> None:
        """Marks the arm as changed by this call."""
        self.changed = True
        self._call.changes_made += 1
        self.row.revision = self._call.revision
        self.row.updated = self._call.now
        self.row.last_heard = max(self.row.last_heard, self._call.now)

    def hear(self) -> None:
        """Stores when the last event of an unfinished arm arrived, even if it changed nothing.

        A new time alone makes no revision. The time is written at most every 5 seconds, so that
        most repeated calls need no commit.
        """
        if not self.finished and self._call.now - self.row.last_heard >= _HEARD_MICROS:
            self.changed = True
            self.row.last_heard = self._call.now

    def set_status(self, status: int) -> None:
        """Sets the arm's status."""
        if status != self.row.status:
            self._call.count(self.row.status, status)
            self.row.status = status
            self._move()

    def set_group(self, group_name: str | None) -> None:
        """Sets the name of the arm's group."""
        if group_name != self.row.group_name:
            self.row.group_name = group_name
            self._move()

    def _move(self) -> None:
        """Stores the revision in which the status or the group changed.

        Watches use it to find arms that newly match their filters, or no longer match.
        """
        self.touch()
        self.row.moved = self._call.revision

    def part(self, name: str) -> bytes:
        """Returns a part of the arm. `Call.needs` must have listed the part."""
        written = self._parts.get(name)
        return self._loaded.parts[name] if written is None else written

    def set_part(self, name: str, content: bytes) -> bool:
        """Writes a part. Returns whether its content has changed."""
        before = self.part(name)
        if before == content:
            return False
        self.row.part_bytes += len(content) - len(before)
        self._parts[name] = content
        if name == "config":
            self._parts[VALUES_PART] = config_values(RunConfig.FromString(content))
        self.touch()
        return True

    def set_digest(self, digest: bytes) -> None:
        """Stores the digest of the whole arm that was recorded last.

        A new digest alone makes no revision.
        """
        self.changed = self.changed or digest != self.row.digest
        self.row.digest = digest

    def find(self, key: EvalKey) -> EvalRow | None:
        """Returns the row with this key, or None.

        `Call.needs` must have listed the key, because only the listed rows are loaded.
        """
        row = self._written.get(key)
        if row is None:
            row = self._loaded.rows.get(key)
            if row is not None and not self._cut.keeps(key):
                return None
        return row

    def stored_rows(self) -> list[EvalRow]:
        """Returns all rows, sorted by position. `Call.needs` must have asked for all rows."""
        rows = {k: r for k, r in self._loaded.rows.items() if self._cut.keeps(k)}
        rows.update(self._written)
        return sorted(rows.values(), key=lambda row: row.position)

    def write_row(
        self,
        parsed: ParsedRow,
        event_time: Timestamp | None,
        before: EvalRow | None,
        position: int | None = None,
    ) -> None:
        """Writes a row.

        Without `position`, the row keeps the position of `before`. A new row is then the last.
        """
        arm, call = self.row, self._call
        key, primary_class = parsed.key, parsed.primary_class
        if before is None:
            arm.eval_count += 1
        if position is None:
            position = arm.next_position if before is None else before.position
        if position >= arm.next_position:
            arm.next_position = position + 1
        stamp = call.stamp(event_time)
        row = EvalRow(
            key, position, primary_class, parsed.model_ref, call.revision, parsed.content, stamp
        )
        self._written[key] = row
        self._note_current(row)
        self._note_primary(key, primary_class, position)
        self.touch()

    def _note_current(self, row: EvalRow) -> None:
        """Stores a written row as the one that `eval(name)` returns, if that is so now.

        If the call has not loaded the row that `eval(name)` returned before, the store looks up
        which row it returns now.
        """
        name, step = row.key
        known = self._loaded.answering
        if name not in known:
            self._change.stale_scores.names.add(name)
            return
        before = known[name]
        if before is None or precedence(step) >= precedence(before.key.step):
            known[name] = self._change.stale_scores.answering[name] = row

    def _note_primary(self, key: EvalKey, primary_class: int | None, position: int) -> None:
        row = self.row
        if key == row.primary or row.primary_class is None or row.primary_position is None:
            self._change.stale_scores.primary = True
        elif primary_class is not None:
            place = (primary_class, position)
            if place < (row.primary_class, row.primary_position):
                self._change.stale_scores.primary = True

    def remove_rows(self, keys: list[EvalKey]) -> None:
        """Removes existing rows."""
        for key in keys:
            if self._written.pop(key, None) is None or key in self._loaded.rows:
                self._cut.keys.add(key)
                self._change.remove_keys.append(key)
            self._change.stale_scores.names.add(key.name)
        self._forget_current()
        self.row.eval_count -= len(keys)
        self.mark_primary_stale()

    def clear_rows(self) -> None:
        """Removes every row."""
        self._cut.everything = True
        self._change.clear_rows = True
        self._written.clear()
        self._forget_current()
        self.row.eval_count = 0
        self.mark_primary_stale()

    def cut_rows(self, after: int) -> None:
        """Removes post-training rows, and in-loop rows after a step.

        The store counts the rows that are left, because the call has not loaded them.
        """
        cut = self._cut
        cut.after = after if cut.after is None else min(after, cut.after)
        self._change.cut_after = cut.after
        self._written = {
            key: row
            for key, row in self._written.items()
            if key.step is not None and key.step <= after
        }
        self._change.stale_scores.all_names = True
        self._forget_current()
        self.mark_primary_stale()

    def _forget_current(self) -> None:
        """Makes the store look up again which rows `eval(name)` returns, after a removal."""
        stale_scores = self._change.stale_scores
        stale_scores.names.update(stale_scores.answering)
        stale_scores.answering.clear()
        self._loaded.answering.clear()

    def mark_primary_stale(self) -> None:
        """Marks the primary eval and all bare scores, so that they are derived again.

        Bare scores are the arm's own scores, which have no eval name.
        """
        self._change.stale_scores.primary = True
        self.touch()

    def value_at(self, step: int, key: str) -> float | None:
        """Returns a point of the training series, or None. `Call.needs` must list its step."""
        written = self._change.points.get(step, {}).get(key)
        return self._kept_points(step).get(key) if written is None else written

    def _kept_points(self, step: int) -> dict[str, float]:
        """Returns the stored points at a step that this call does not remove."""
        cut = self._change.cut_points_after
        is_kept = not self._change.clear_points and (cut is None or step <= cut)
        return self._loaded.points.get(step, {}) if is_kept else {}

    def write_points(self, step: int, values: dict[str, float]) -> None:
        """Writes points of the training series."""
        self._change.points.setdefault(step, {}).update(values)
        self._note_series(step)
        self.touch()

    def cut_points(self, after: int | None) -> None:
        """Removes the points of the training series after a step. Without a step, removes all."""
        change = self._change
        if after is None:
            if change.points or (self._loaded.has_points and not change.clear_points):
                self._note_series(FIRST_STEP)
                self.touch()
            change.clear_points = True
            change.points.clear()
            return
        cut = change.cut_points_after
        change.cut_points_after = after if cut is None else min(after, cut)
        change.points = {step: at for step, at in change.points.items() if step <= after}
        if after < LAST_STEP:
            self._note_series(after + 1)

    def _note_series(self, step: int) -> None:
        """Stores that points at a step or later have changed."""
        if self._series_from is None or step < self._series_from:
            self._series_from = step

    def note_metrics(self, metrics: dict[str, float]) -> None:
        """Marks training metrics as changed, so that their scores are written."""
        self._change.stale_scores.metrics.update(metrics)

    def change(self) -> ArmChange:
        """Returns the changes of the arm."""
        if self._series_from is not None:
            before = self._loaded.parts.get(SERIES_PART, b"")
            self._parts[SERIES_PART] = with_change(before, self.row.revision, self._series_from)
        self._change.parts = self._parts
        self._change.rows = list(self._written.values())
        new_points = len([step for step in self._change.points if not self._kept_points(step)])
        self._change.added_rows = 1 + self.row.eval_count + new_points - self._rows_before
        return self._change

    @property
    def finished(self) -> bool:
        """Whether the arm's training has ended."""
        return self.row.status > ARM_STATUS_RUNNING
