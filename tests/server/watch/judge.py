"""Judges what a watch sent against the states that the experiment really had.

The guarantees, each by the word that a violation begins with:

- ordered: revisions of markers never go back within an epoch;
- unique: nothing that a marker covers is sent again;
- complete: at a marker, the client has everything that the experiment has at this revision;
- atomic: at a marker, the client has nothing else, such as a part of a later commit;
- resumable: a watch that continues in the same epoch is not reset, and in another one it is;
- true: a marker names a revision that the experiment had, and each revision gets a marker in time;
- filtered: all of this holds for what the filters of the watch select.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from podium.v1.arm_result_pb2 import ArmSummary
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.results_service_pb2 import WatchRequest, WatchResponse
from podium.v1.series_pb2 import Series

__all__ = ["Filter", "Judge", "State", "encoded_row", "fingerprint"]

_Key: TypeAlias = tuple[str, str, int | None]
_Point: TypeAlias = tuple[str, str, int]


@dataclass
class State:
    """The arms, rows and points of an experiment at a revision, or as a watch has sent them."""

    arms: dict[str, bytes] = field(default_factory=dict)
    rows: dict[_Key, bytes] = field(default_factory=dict)
    points: dict[_Point, bytes] = field(default_factory=dict)

    def copy(self) -> "State":
        """Returns a copy."""
        return State(dict(self.arms), dict(self.rows), dict(self.points))

    def add_points(self, arm: str, series: Iterable[Series]) -> None:
        """Adds points of an arm."""
        for one in series:
            for step, value in zip(one.steps, one.values, strict=True):
                self.points[arm, one.key, step] = struct.pack("<d", value)


def fingerprint(arm: ArmSummary) -> bytes:
    """Returns the encoding of an arm, which is equal for equal arms.

    It leaves out `last_heard`, which changes without a new revision.
    """
    kept = ArmSummary()
    kept.CopyFrom(arm)
    kept.ClearField("last_heard")
    return kept.SerializeToString(deterministic=True)


def encoded_row(row: EvalResult) -> bytes:
    """Returns the encoding of a row, which is equal for equal rows.

    It leaves out `eval_seconds` of 0, because clients do not distinguish it from an unset one.
    """
    if not row.eval_seconds:
        row.ClearField("eval_seconds")
    return row.SerializeToString(deterministic=True)


@dataclass
class Filter:
    """The filters of a watch."""

    statuses: tuple[int, ...] = ()
    group_name: str | None = None
    name_prefix: str = ""
    without_evals: bool = False
    with_series: bool = False
    series_keys: tuple[str, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """Returns whether the filter selects arms by their status or group, which can change."""
        return bool(self.statuses) or self.group_name is not None

    def of(self, state: State) -> State:
        """Returns the part of a state that the filter selects."""
        arms = {name: raw for name, raw in state.arms.items() if self._selects(raw)}
        rows = {} if self.without_evals else state.rows
        points = state.points if self.with_series else {}
        return State(
            arms,
            {key: raw for key, raw in rows.items() if key[0] in arms},
            {key: raw for key, raw in points.items() if key[0] in arms and self._has(key[1])},
        )

    def _has(self, key: str) -> bool:
        return not self.series_keys or key in self.series_keys

    def _selects(self, raw: bytes) -> bool:
        arm = ArmSummary.FromString(raw)
        group = arm.group_name if arm.HasField("group_name") else None
        return (
            (not self.statuses or arm.status in self.statuses)
            and self.group_name in (None, group)
            and arm.name.startswith(self.name_prefix)
        )


class Judge:
    """One client of a watch, over all of its connections.

    Args:
        shown: The filters of the watch.
        may_reset: Returns whether a client with this revision and epoch must be reset now.

    Attributes:
        revision: The revision of the last marker, or 0 before the first one.
        epoch: The epoch of the last marker.
        kept: The state at the last marker.
        marks: The number of markers.
        violations: The violations that were found so far.
    """

    def __init__(self, shown: Filter, may_reset: Callable[[int, str], bool]) -> None:
        self.shown = shown
        self.revision = 0
        self.epoch = ""
        self.kept = State()
        self.marks = 0
        self.violations: list[str] = []
        self._may_reset = may_reset
        self._view = State()
        self._claims: list[tuple[int, str, State]] = []
        self._has_to_reset = False
        self._resets = 0

    def request(self, experiment: str) -> WatchRequest:
        """Returns the request that continues the watch. Drops what came after the last marker."""
        self._view = self.kept.copy()
        self._resets = 0
        self._has_to_reset = self.revision > 0 and self._may_reset(self.revision, self.epoch)
        return WatchRequest(
            experiment=experiment,
            after_revision=self.revision,
            epoch=self.epoch,
            statuses=self.shown.statuses,  # type: ignore[arg-type]
            group_name=self.shown.group_name,
            name_prefix=self.shown.name_prefix,
            without_evals=self.shown.without_evals,
            with_series=self.shown.with_series,
            series_keys=self.shown.series_keys,
        )

    def take(self, response: WatchResponse) -> None:
        """Checks a message, and applies it to the client's state."""
        if response.reset:
            self._reset()
        for removal in response.removals:
            self._remove(removal.arm, removal.name if removal.HasField("name") else None,
                         removal.step if removal.HasField("step") else None)  # fmt: skip
        for item in response.arms:
            self._check_new(item.arm.revision, f"arm {item.arm.name}")
            self._view.arms[item.arm.name] = fingerprint(item.arm)
        for row in response.evals:
            result = row.eval_result
            self._check_new(result.revision, f"row {row.arm} {result.name}")
            step = result.step if result.HasField("step") else None
            self._view.rows[row.arm, result.name, step] = encoded_row(result)
        for piece in response.series:
            kept = self._view.points.items()
            self._view.points = {
                key: raw for key, raw in kept if key[0] != piece.arm or key[2] < piece.from_step
            }
            self._view.add_points(piece.arm, piece.series)
        if response.deleted:
            self.forget()
        elif response.HasField("marker"):
            self._mark(response.marker.revision, response.marker.epoch)

    def forget(self) -> None:
        """Forgets the client's state, as after a deletion or a reset."""
        self.revision, self.epoch, self.kept, self._view = 0, "", State(), State()

    def verify(self, state_of: Callable[[int, str], State | None]) -> None:
        """Compares the client's state at each marker with that of the experiment.

        Args:
            state_of: Returns the state of a revision in an epoch, or None if there was none.
        """
        for revision, epoch, view in self._claims:
            state = state_of(revision, epoch)
            if state is None:
                self.violations.append(f"true: there was no revision {revision} in {epoch}")
                continue
            expected = self.shown.of(state)
            for kind in ("arms", "rows", "points"):
                wanted, found = getattr(expected, kind), getattr(view, kind)
                what = f"{kind} at revision {revision} for {self.shown}"
                if wanted.keys() - found.keys():
                    self.violations.append(f"complete: {what}: {wanted.keys() - found.keys()}")
                elif found.keys() - wanted.keys():
                    self.violations.append(f"atomic: {what}: {found.keys() - wanted.keys()}")
                elif found != wanted:
                    self.violations.append(f"complete: {what} are of another revision")
        self._claims.clear()

    def _reset(self) -> None:
        self._resets += 1
        is_needed = self.revision > 0 and self._may_reset(self.revision, self.epoch)
        if not is_needed or self._resets > 1:
            self.violations.append(f"resumable: reset after {self.revision} in its own epoch")
        self._has_to_reset = False
        self.forget()

    def _remove(self, arm: str, name: str | None, step: int | None) -> None:
        if name is not None:
            self._view.rows.pop((arm, name, step), None)
            return
        self._view.arms.pop(arm, None)
        self._view.rows = {key: raw for key, raw in self._view.rows.items() if key[0] != arm}
        self._view.points = {key: raw for key, raw in self._view.points.items() if key[0] != arm}

    def _check_new(self, revision: int, what: str) -> None:
        if revision <= self.revision and not self.shown.is_narrow:
            self.violations.append(f"unique: {what} of {revision} after marker {self.revision}")

    def _mark(self, revision: int, epoch: str) -> None:
        if self._has_to_reset:
            self.violations.append(f"resumable: no reset after {self.revision} of {self.epoch}")
            self._has_to_reset = False
        if self.revision and epoch != self.epoch:
            self.violations.append(f"resumable: {epoch} continues {self.epoch} without a reset")
        if revision < self.revision and epoch == self.epoch:
            self.violations.append(f"ordered: marker {revision} after {self.revision}")
        self.revision, self.epoch = revision, epoch
        # A row of an arm that is not shown does not belong to the state.
        rows = {key: raw for key, raw in self._view.rows.items() if key[0] in self._view.arms}
        points = {key: raw for key, raw in self._view.points.items() if key[0] in self._view.arms}
        self.kept = State(dict(self._view.arms), rows, points)
        self._claims.append((revision, epoch, self.kept.copy()))
        self._resets = 0
        self.marks += 1
