"""The experiment and the arms that a call has loaded and changed.

The events of the call are applied to them in order.
"""

from typing import TYPE_CHECKING

from podium_server.store.calls import Changes, Loaded, LoadedArm
from podium_server.store.rows import PART_NAMES, ArmRow, ExperimentRow, StreamRow
from podium_server.writes.state import ArmState, Progress

if TYPE_CHECKING:
    from podium.v1.recording_service_pb2 import ReplacedAttempt

__all__ = ["CallState"]


class CallState:
    """The experiment and the arms of a call.

    `kept` has the fields that declarations did not overwrite: for each, the index of the event and
    the path of the field. `replaced` has the running attempts that newer ones replaced. The loaded
    rows belong to the call and are changed in place.
    """

    def __init__(self, loaded: Loaded, name: str, now: int) -> None:
        found = loaded.experiment
        self.experiment = found or ExperimentRow(id=None, name=name, deleted=True, created=now)
        self.exists = found is not None and not found.deleted
        self.progress = Progress(self.experiment, now)
        self.kept: list[tuple[int, str]] = []
        self.replaced: list[ReplacedAttempt] = []
        self._arms = {name: ArmState(arm, self.progress) for name, arm in loaded.arms.items()}

    def serves(self, subject: str | None) -> bool:
        """Returns whether an event with this subject can be applied now.

        `subject` is None for a Skipped event, which needs no experiment. Other events need one.
        """
        return self.exists or subject is None

    def create_experiment(self) -> None:
        """Creates the experiment. If it was deleted before, its revision continues."""
        self.experiment.deleted = False
        self.experiment.created = self.progress.now
        self.experiment.row_count = 1
        self.experiment.counts = (0,) * len(self.experiment.counts)
        self.exists = True

    def arm(self, name: str) -> ArmState | None:
        """Returns an arm that existed or that this call has created, or None."""
        return self._arms.get(name)

    def create_arm(self, name: str) -> ArmState:
        """Creates an arm. It comes after all others in order of creation."""
        ordinal = self.experiment.next_ordinal
        self.experiment.next_ordinal = ordinal + 1
        row = ArmRow(name, ordinal, status=0, created=self.progress.now)
        arm = ArmState(
            LoadedArm(row, dict.fromkeys(PART_NAMES, b""), {}, has_points=False), self.progress
        )
        self._arms[name] = arm
        return arm

    def changes(self, stream: StreamRow | None) -> Changes:
        """Returns all changes of the call, marked with its revision."""
        changed = self.progress.changes_made > 0
        arms = [arm.change() for arm in self._arms.values() if arm.changed]
        for change in arms:
            self.experiment.row_count += change.added_rows
        if changed:
            self.experiment.revision = self.progress.revision
            self.experiment.updated = self.progress.now
        leaves_trace = changed or stream is not None or self.experiment.id is not None
        return Changes(
            experiment=self.experiment if leaves_trace else None,
            revision=self.progress.revision if changed else None,
            stream=stream,
            arms=arms,
        )
