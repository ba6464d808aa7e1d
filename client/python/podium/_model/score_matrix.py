"""The scores of many arms on several metrics, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podium._values.base import ModelBase
from podium._values.suggest import did_you_mean
from podium._values.tabular import Tabular, import_pandas

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ScoreColumn", "ScoreMatrix", "ScoredArm"]


@dataclass(eq=False, repr=False)
class ScoredArm(ModelBase):
    """An arm of a matrix of scores."""

    arm: str
    """The name of the arm."""
    status: str
    """The status of the arm: an ArmStatus."""
    group_name: str | None = None
    """The name of the arm's group; None without a group."""


@dataclass(eq=False, repr=False)
class ScoreColumn(ModelBase):
    """The scores of arms on one metric."""

    metric: str
    """The metric."""
    scores: list[float | None]
    """The score of each arm, in the order of the matrix: NaN is a score, None means no score."""


@dataclass(eq=False, repr=False)
class ScoreMatrix(Tabular, ModelBase):
    """The scores of arms on metrics, a column for each metric."""

    arms: list[ScoredArm]
    """The arms, in the order in which they were created."""
    columns: list[ScoreColumn]
    """The scores of these arms: a column for each metric, in the order of the request."""
    revision: int | None
    """The experiment's revision at which the scores were read.

    None if the experiment changed while a large matrix was read, which takes several calls. Scores
    of different arms may then be of different revisions. All scores of one arm are of one revision.
    """

    def __getitem__(self, metric: str) -> list[float | None]:
        """Returns the scores on a metric, one for each arm.

        Raises:
            KeyError: The metric was not requested. The message suggests similar metrics.
        """
        for column in self.columns:
            if column.metric == metric:
                return column.scores
        known = [column.metric for column in self.columns]
        listed = f"; the columns are {', '.join(map(repr, known))}"
        near = did_you_mean(str(metric), known) or listed
        raise KeyError(f"there is no column {metric!r}{near}")

    def _heading(self) -> str:
        return f"{len(self.arms):,} arms, {len(self.columns):,} metrics"

    def _records(self) -> list[dict[str, Any]]:
        return [
            {"arm": arm.arm, **{column.metric: column.scores[row] for column in self.columns}}
            for row, arm in enumerate(self.arms)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """Returns the matrix as a DataFrame: the arms are its index, the metrics its columns.

        A missing score becomes NaN.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = import_pandas()
        index = pandas.Index([arm.arm for arm in self.arms], name="arm", dtype="str")
        columns = [pandas.Series(column.scores, index, "float64") for column in self.columns]
        names = [column.metric for column in self.columns]
        frame: pd.DataFrame = pandas.concat(columns, axis="columns", keys=names)
        return frame
