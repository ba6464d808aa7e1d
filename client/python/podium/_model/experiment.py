"""The dataclass of an experiment, without its arms."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from podium._values import coerce
from podium._values.base import ModelBase
from podium._values.enums import Direction, ExperimentStatus

__all__ = ["ArmCounts", "Experiment"]


@dataclass(eq=False, repr=False)
class ArmCounts(ModelBase):
    """The number of arms by status."""

    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """The number of arms."""
        return self.pending + self.running + self.completed + self.failed + self.cancelled


@dataclass(eq=False, repr=False)
class Experiment(ModelBase):
    """A named set of arms that answer one question."""

    name: str
    """The name: segments separated by `/`, as in `nlp/rank_sweep`."""
    hypothesis: str | None = None
    """The hypothesis that the experiment tests."""
    success_metric: str | None = None
    """The metric by which arms are ranked, in the forms that `score()` accepts."""
    conclusion: str | None = None
    """The conclusion of the experiment."""
    parent: str | None = None
    """The name of the experiment that this experiment continues."""
    direction: str | None = None
    """Which scores are better: a Direction. If None, greater scores are better."""
    tags: list[str] = field(default_factory=list)
    """Labels: any strings."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Any other data: JSON-like values by key."""
    status: str = field(init=False, default=ExperimentStatus.RUNNING, compare=False, repr=False)
    """Output only. The status, which follows from the arms: an ExperimentStatus."""
    revision: int = field(init=False, default=0, compare=False, repr=False)
    """Output only. The number of calls that have changed the experiment or anything in it."""
    create_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the experiment was declared."""
    update_time: datetime | None = field(init=False, default=None, compare=False, repr=False)
    """Output only. The time at which the experiment or anything in it last changed."""
    arm_counts: ArmCounts = field(init=False, default_factory=ArmCounts, compare=False, repr=False)
    """Output only. The number of arms by status."""

    def __post_init__(self) -> None:
        self._coerce(coerce.text, "name")
        self._coerce_optional(coerce.text, "hypothesis", "success_metric", "conclusion", "parent")
        self._coerce_optional(coerce.member_of(Direction), "direction")
        self._coerce(coerce.texts, "tags")
        self._coerce(coerce.value_map, "metadata")

    def record(self) -> dict[str, Any]:
        """Returns the experiment as a row of a table, with a key for each key of the metadata."""
        return {
            "experiment": self.name,
            "status": self.status,
            "arms": self.arm_counts.total,
            **{name: getattr(self.arm_counts, name) for name in ("completed", "failed", "running")},
            "success_metric": self.success_metric,
            "direction": self.direction,
            "tags": self.tags,
            "parent": self.parent,
            "hypothesis": self.hypothesis,
            "conclusion": self.conclusion,
            "update_time": self.update_time,
            **{f"metadata.{key}": self.metadata[key] for key in sorted(self.metadata)},
        }
