"""The dataclasses of the changes that a watch of an experiment returns."""

from dataclasses import dataclass, field
from typing import Any

from podium._model.results import ArmSummary, EvalResult, Experiment, RunResult
from podium._values.base import ModelBase
from podium.curves import Series

__all__ = [
    "WatchMarker",
    "WatchRemoval",
    "WatchUpdate",
    "WatchedArm",
    "WatchedEval",
    "WatchedSeries",
]


@dataclass(eq=False, repr=False)
class WatchedArm(ModelBase):
    """An arm that was added or changed, without its rows."""

    position: int
    """The place of the arm in the order in which arms were created."""
    arm: ArmSummary
    """The arm."""
    eval_breakdowns: dict[str, Any]
    """The eval_breakdowns of the arm, if it was recorded with breakdowns and without eval rows."""
    run_result: RunResult | None
    """The result that the training backend returned; None if none was recorded."""


@dataclass(eq=False, repr=False)
class WatchedEval(ModelBase):
    """An eval row that was added or replaced."""

    arm: str
    """The name of the row's arm."""
    position: int
    """The place of the row in the order of the arm's rows."""
    eval_result: EvalResult
    """The row."""


@dataclass(eq=False, repr=False)
class WatchedSeries(ModelBase):
    """A piece of the training series of an arm."""

    arm: str
    """The name of the arm."""
    from_step: int
    """The first step that changed.

    Discard all points of the arm at this step or later, of every key.
    """
    series: list[Series]
    """The points that replace the discarded ones. Some may be equal to a discarded one."""


@dataclass(frozen=True, slots=True)
class WatchRemoval:
    """A removed eval row, or a removed arm with all its rows."""

    arm: str
    """The name of the arm."""
    name: str | None = None
    """The name of the removed eval row; None if the whole arm was removed."""
    step: int | None = None
    """The step of the removed row; None for a post-training row, or if the arm was removed."""


@dataclass(frozen=True, slots=True)
class WatchMarker:
    """The revision of an experiment that a watch has reached."""

    revision: int
    """The revision of the experiment."""
    epoch: str
    """The id of this experiment in this store.

    It changes if the experiment is deleted and declared again, or if the store is restored.
    """


@dataclass(slots=True)
class WatchUpdate:
    """Everything that changed between two revisions of an experiment.

    Apply its fields in their order to the state of the previous update. The result is exactly the
    state of `marker.revision`.
    """

    is_reset: bool = False
    """Whether to discard the state of earlier updates. This update then has the whole state."""
    experiment: Experiment | None = None
    """The experiment, if its declaration or conclusion changed."""
    removals: list[WatchRemoval] = field(default_factory=list)
    """The eval rows and arms that were removed. Ignore those that you do not have."""
    arms: list[WatchedArm] = field(default_factory=list)
    """The arms that were added or changed."""
    evals: list[WatchedEval] = field(default_factory=list)
    """The rows that were added or replaced."""
    series: list[WatchedSeries] = field(default_factory=list)
    """The points that changed, in pieces. Apply them in this order."""
    marker: WatchMarker | None = None
    """The revision of the state after this update. None if the experiment was deleted."""

    @property
    def is_deleted(self) -> bool:
        """Whether the experiment was deleted. If so, this is the last update of the watch."""
        return self.marker is None
