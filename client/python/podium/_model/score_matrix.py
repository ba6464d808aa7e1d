"""Scores of many arms on many metrics, in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium._values.base import ModelBase

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoreColumn", "ScoreMatrix", "ScoredArm"]


@dataclass(eq=False)
class ScoredArm(ModelBase):
    """An arm of a matrix of scores."""

    arm: str
    """The name of the arm."""
    status: str
    """How far it has come: an ArmStatus."""
    group_name: str | None = None
    """The name of its group."""


@dataclass(eq=False)
class ScoreColumn(ModelBase):
    """The scores of arms on one metric."""

    metric: str
    """The metric."""
    scores: list[float | None]
    """A score for each arm; None where there is none, while NaN is one."""


@dataclass(eq=False)
class ScoreMatrix(ModelBase):
    """The scores of arms on metrics, a column for each metric."""

    arms: list[ScoredArm]
    """The arms, in the order in which they were created."""
    columns: list[ScoreColumn]
    """Their scores on each metric, in the order in which the metrics were asked for."""
    revision: int | None
    """The experiment's revision that this shows.

    None if it changed between the calls that a large matrix takes: the scores of each arm are of
    one state then, but not those of all arms.
    """

    def __getitem__(self, metric: str) -> list[float | None]:
        """The scores on a metric, one for each arm.

        Raises:
            KeyError: The metric was not asked for.
        """
        for column in self.columns:
            if column.metric == metric:
                return column.scores
        raise KeyError(metric)

    def to_pandas(self) -> pd.DataFrame:
        """The matrix as a DataFrame: the arms are its index, the metrics its columns.

        What is missing becomes NaN, as pandas has it.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - only who asks for it needs it

        index = pd.Index([arm.arm for arm in self.arms], name="arm", dtype="str")
        columns = [pd.Series(column.scores, index, "float64") for column in self.columns]
        names = [column.metric for column in self.columns]
        return pd.concat(columns, axis="columns", keys=names)
