"""Deletes arms and experiments. A deleted experiment keeps its row, which has its revision.

Streams that wrote to a deleted arm or experiment are closed.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from podium_server.errors import unknown_arm, unknown_experiment
from podium_server.store.calls import (
    ArmChange,
    ArmNeeds,
    Changes,
    CurrentRows,
    DerivedScores,
    Loaded,
    Needs,
)
from podium_server.store.rows import ExperimentRow

__all__ = ["DeleteArmCall", "DeleteExperimentCall"]


@dataclass(slots=True)
class _Deletion:
    """The base class of both deletions.

    The result of a deletion is the experiment's revision after the call.
    """

    experiment: str
    allow_missing: bool
    now: int
    heavy: ClassVar[bool] = True

    def derive(self, _change: ArmChange, _current_rows: CurrentRows, /) -> DerivedScores:
        """Returns no scores, because a deletion changes no scores of other arms."""
        return DerivedScores()

    def result(self, changes: Changes) -> int:
        """Returns the experiment's revision, or 0 if the experiment never existed."""
        return changes.experiment.revision if changes.experiment else 0

    def _next(self, row: ExperimentRow) -> ExperimentRow:
        return replace(row, revision=row.revision + 1, updated=self.now)


@dataclass(slots=True)
class DeleteArmCall(_Deletion):
    """Deletes an arm with its rows and closes the streams that wrote to it."""

    arm: str = ""

    @property
    def needs(self) -> Needs:
        """The data to load: the experiment and the arm."""
        return Needs(self.experiment, arms={self.arm: ArmNeeds()})

    def decide(self, loaded: Loaded) -> Changes:
        """Removes the arm. Raises NOT_FOUND if it is missing, unless the call allows that."""
        experiment = _living(loaded, self.experiment, allow_missing=self.allow_missing)
        arm = loaded.arms.get(self.arm)
        if experiment is None or arm is None:
            if self.allow_missing:
                return Changes(experiment=loaded.experiment)
            raise unknown_arm(self.experiment, self.arm)
        after = self._next(experiment)
        counts = list(after.counts)
        counts[arm.row.status] -= 1
        after.counts = tuple(counts)
        after.row_count -= 1 + arm.row.eval_count
        return Changes(experiment=after, revision=after.revision, remove_arm=arm.row)


@dataclass(slots=True)
class DeleteExperimentCall(_Deletion):
    """Deletes an experiment with its arms and closes the streams that wrote to it."""

    @property
    def needs(self) -> Needs:
        """The data to load: the experiment."""
        return Needs(self.experiment)

    def decide(self, loaded: Loaded) -> Changes:
        """Removes everything except the experiment's name and revision.

        Raises NOT_FOUND like `DeleteArmCall`.
        """
        experiment = _living(loaded, self.experiment, allow_missing=self.allow_missing)
        if experiment is None:
            return Changes(experiment=loaded.experiment)
        after = replace(
            self._next(experiment),
            deleted=True,
            content=b"",
            tags=(),
            row_count=0,
            counts=(0, 0, 0, 0, 0, 0),
        )
        after.deletion = after.revision
        return Changes(experiment=after, revision=after.revision, remove_experiment=True)


def _living(loaded: Loaded, name: str, *, allow_missing: bool) -> ExperimentRow | None:
    row = loaded.experiment
    if row is not None and not row.deleted:
        return row
    if allow_missing:
        return None
    raise unknown_experiment(name)
