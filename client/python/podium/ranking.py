"""Rankings: arms in the order of their scores, with what to know before trusting it."""

from dataclasses import dataclass, field

from podium._enums import RankFlag
from podium._record import Record
from podium.model import ArmCounts

__all__ = ["RankCounts", "RankFlag", "RankSource", "RankedArm", "Ranking", "ScoreSource"]


@dataclass(eq=False)
class ScoreSource(Record):
    """Where a score came from."""

    origin: str
    """What kind of result it is part of: a ScoreOrigin."""
    key: str
    """The key that it was found under."""
    eval_name: str | None = None
    """The name of the row, for the two kinds of eval rows."""
    step: int | None = None
    """The step of an in-loop row."""


@dataclass(eq=False)
class RankedArm(Record):
    """An arm at its place in a ranking."""

    arm: str
    """The name of the arm."""
    rank: int | None
    """Its place, from 1; arms with equal scores share one. None for an arm without a score."""
    score: float | None
    """Its score; NaN is one. None if there is none."""
    source: ScoreSource | None
    """Where the score came from."""
    benchmark_id: str | None
    """The benchmark_id of the eval row that the score came from."""
    group_name: str | None
    """The name of the arm's group."""
    status: str
    """How far the arm has come: an ArmStatus."""
    flags: list[str] = field(default_factory=list)
    """What to know before trusting the place: RankFlags."""


@dataclass(eq=False)
class RankSource(Record):
    """A place that scores of a ranking came from."""

    origin: str
    """What kind of result they are part of: a ScoreOrigin."""
    eval_name: str | None
    """The name of the eval rows, for the two kinds of eval rows."""
    benchmark_id: str | None
    """The benchmark_id of those rows."""
    scores: int
    """How many scores came from there, NaN included."""


@dataclass(eq=False)
class RankCounts(Record):
    """What became of the arms of an experiment in a ranking: each arm is counted once."""

    numbers: int = 0
    """Arms whose score is a number, infinities included."""
    nans: int = 0
    """Arms whose score is NaN."""
    without_score: int = 0
    """Arms without a score."""
    left_out: ArmCounts = field(default_factory=ArmCounts)
    """Arms that are left out because of their status."""


@dataclass(eq=False)
class Ranking(Record):
    """The arms of an experiment, or the first of them, the best ones first."""

    metric: str
    """What was ranked by."""
    direction: str
    """Which scores are better: a Direction."""
    revision: int
    """The experiment's revision that this shows."""
    arms: list[RankedArm]
    """The arms in order: numbers, then NaN, then those without a score."""
    counts: RankCounts
    """What became of all arms of the experiment."""
    sources: list[RankSource]
    """Where all scores of the ranking came from, the most frequent place first."""
