"""The fields of arms and rows that `eval`, `score` and conclusions read."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

__all__ = ["Arm", "ListedArm", "NamedArm", "Row"]


class Row(Protocol):
    """The fields of an eval row that `eval` and `score` read."""

    @property
    def name(self) -> str:
        """The name of the eval."""

    @property
    def step(self) -> int | None:
        """The step of an in-loop row; None for a post-training row."""

    @property
    def tags(self) -> Collection[str]:
        """The labels of the row."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The measured values by key."""

    @property
    def model_ref(self) -> str | None:
        """The evaluated model, if it is not the arm's own."""


class Arm(Protocol):
    """The fields of an arm that `score` reads."""

    @property
    def evals(self) -> Sequence[Row]:
        """The rows, in the order in which they were first accepted."""

    @property
    def eval_metrics(self) -> Mapping[str, float]:
        """The eval metrics that were given with the arm itself, not with a row.

        If there are none, `score` reads those of the primary eval.
        """

    @property
    def metrics(self) -> Mapping[str, float]:
        """The training metrics."""


class ListedArm(Protocol):
    """The fields of an arm in a listing."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    @property
    def status(self) -> str:
        """The status of the arm: an ArmStatus."""


class NamedArm(Arm, ListedArm, Protocol):
    """The fields of an arm that an experiment's conclusion uses."""
