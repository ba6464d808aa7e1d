"""The dataclasses of rankings. The public module `podium.ranking` exports them."""

from dataclasses import dataclass, field
from typing import Any

from podium._model.results import ArmCounts, ArmSummary, Experiment
from podium._values.base import ModelBase
from podium._values.tabular import Tabular, without_configs
from podium.statistics import Description

__all__ = [
    "ExperimentResult",
    "GroupRanking",
    "RankCounts",
    "RankGroupCounts",
    "RankSource",
    "RankedArm",
    "RankedGroup",
    "Ranking",
    "ScoreSource",
]

_COUNTS = ("nans", "missing", "failed", "left_out")
"""Columns that are shown only if a value in them is not 0."""


@dataclass(eq=False, repr=False)
class ScoreSource(ModelBase):
    """Where a score comes from: the kind of result, the key and, if there is one, the eval row."""

    origin: str
    """The kind of result from which the score comes: a ScoreOrigin."""
    key: str
    """The key of the metric."""
    eval_name: str | None = None
    """The name of the eval row; None for other kinds of results."""
    step: int | None = None
    """The step of an in-loop row; None for any other source."""


@dataclass(eq=False, repr=False)
class RankedArm(ModelBase):
    """An arm at its place in a ranking."""

    arm: str
    """The name of the arm."""
    rank: int | None
    """The rank of the arm, from 1; arms with equal scores share a rank. None without a score."""
    score: float | None
    """The score of the arm, which may be NaN; None if the arm has no score."""
    source: ScoreSource | None
    """The source of the score; None without a score."""
    benchmark_id: str | None
    """The benchmark_id of the eval row that the score comes from; None without such a row or id."""
    group_name: str | None
    """The name of the arm's group; None without a group."""
    status: str
    """The status of the arm: an ArmStatus."""
    flags: list[str] = field(default_factory=list)
    """Warnings about the place in the ranking: RankFlags."""


@dataclass(eq=False, repr=False)
class RankedGroup(ModelBase):
    """A group of arms in a ranking by mean. An arm without a group counts as a group of its own.

    Each member is counted once: as one of the n numbers of the statistics, or as NaN, missing,
    failed or left out.
    """

    group_name: str | None
    """The name of the group; None if the entry is an arm without a group."""
    first_arm: str
    """The name of the member that was created first."""
    rank: int | None
    """The rank of the group, from 1; groups with equal means share a rank. None without a mean."""
    members: int
    """The number of members, with any status."""
    statistics: Description
    """The statistics of the members' scores that are numbers."""
    nans: int = 0
    """The number of members whose score is NaN."""
    missing: int = 0
    """The number of members without a score."""
    failed: int = 0
    """The number of members that are left out because they failed."""
    left_out: int = 0
    """The number of members that are left out because of another status, such as running."""
    flags: list[str] = field(default_factory=list)
    """Warnings about the place in the ranking: RankFlags."""

    @property
    def name(self) -> str:
        """The name of the group, or of an arm without a group."""
        return self.first_arm if self.group_name is None else self.group_name


@dataclass(eq=False, repr=False)
class RankSource(ModelBase):
    """A source of scores in a ranking, and the number of scores that come from it."""

    origin: str
    """The kind of result from which the scores come: a ScoreOrigin."""
    eval_name: str | None
    """The name of the eval rows; None for other kinds of results."""
    benchmark_id: str | None
    """The benchmark_id of the eval rows, or None."""
    scores: int
    """The number of scores from this source, NaN included."""


@dataclass(eq=False, repr=False)
class RankCounts(ModelBase):
    """Counts the arms of an experiment for a ranking. Each arm is in one of the counts only."""

    numbers: int = 0
    """The number of arms whose score is a number, infinities included."""
    nans: int = 0
    """The number of arms whose score is NaN."""
    without_score: int = 0
    """The number of arms without a score."""
    left_out: ArmCounts = field(default_factory=ArmCounts)
    """The number of arms that are left out because of their status, by status."""


@dataclass(eq=False, repr=False)
class RankGroupCounts(ModelBase):
    """Counts the groups of an experiment for a ranking. Each group is in one of the counts only."""

    ranked: int = 0
    """The number of groups that have a rank."""
    without_mean: int = 0
    """The number of groups without a mean, which have no rank."""
    too_small: int = 0
    """The number of groups that are left out: they have fewer than `min_members` numeric scores."""


@dataclass(eq=False, repr=False)
class ExperimentResult(Tabular, ModelBase):
    """A summary of an experiment at one revision."""

    experiment: Experiment
    """The experiment."""
    status: str
    """The status: an ExperimentStatus.

    COMPLETED if any arm completed, FAILED if there are arms and all failed, else RUNNING.
    """
    arms: list[ArmSummary]
    """The arms, in the order in which they were created."""
    best_arm: str | None
    """The completed arm with the best score on the success metric; None if there is none.

    If several arms have the best score, it is the arm that was created first. NaN is never the best
    score.
    """
    best_score: float | None
    """The score of the best arm; None if there is no best arm."""
    conclusion: str
    """The conclusion in words: the best arm, and how many arms completed and failed."""

    def _heading(self) -> str:
        return f"{self.experiment.name}, {self.status}; {self.conclusion}"

    def _records(self) -> list[dict[str, Any]]:
        return [arm.record() for arm in self.arms]

    def _shown(self) -> list[dict[str, Any]]:
        return without_configs(self._records())


@dataclass(eq=False, repr=False)
class _AnyRanking(Tabular, ModelBase):
    metric: str
    """The metric by which the arms are ranked."""
    direction: str
    """Which scores are better: a Direction."""
    revision: int
    """The revision of the experiment that the ranking shows; 0 if no server made the ranking."""
    counts: RankCounts
    """Counts of all arms of the experiment, including those that are not in the ranking."""
    sources: list[RankSource]
    """The sources of all scores, the most frequent first; at most 100."""

    def _heading(self) -> str:
        return f"{self.metric}, {self.direction}"


@dataclass(eq=False, repr=False)
class Ranking(_AnyRanking):
    """The arms of an experiment, the best arms first: all arms, or as many as were requested."""

    arms: list[RankedArm]
    """The arms in order: those whose score is a number, then NaN, then those without a score."""

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": arm.rank,
                "arm": arm.arm,
                "score": arm.score,
                "origin": arm.source and arm.source.origin,
                "eval": arm.source and arm.source.eval_name,
                "step": arm.source and arm.source.step,
                "benchmark_id": arm.benchmark_id,
                "group": arm.group_name,
                "status": arm.status,
                "flags": arm.flags,
            }
            for arm in self.arms
        ]


@dataclass(eq=False, repr=False)
class GroupRanking(_AnyRanking):
    """The groups of an experiment, the best first: all groups, or as many as were requested."""

    groups: list[RankedGroup]
    """The groups, the best mean first; groups without a mean come last."""
    group_counts: RankGroupCounts
    """Counts of all groups of the experiment, including those that are not in the ranking."""

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "rank": group.rank,
                "group": group.name,
                "mean": group.statistics.mean,
                "half_width": group.statistics.half_width,
                "sd": group.statistics.sd,
                "n": group.statistics.n,
                "min": group.statistics.min,
                "max": group.statistics.max,
                "flags": group.flags,
                "members": group.members,
                "nans": group.nans,
                "missing": group.missing,
                "failed": group.failed,
                "left_out": group.left_out,
                "ci_low": group.statistics.ci_low,
                "ci_high": group.statistics.ci_high,
            }
            for group in self.groups
        ]

    def _shown(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in record.items() if value or name not in _COUNTS}
            for record in self._records()
        ]
