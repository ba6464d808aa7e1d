"""What `eval` and `score` mean: the one definition, for server and clients alike.

Everything here is pure and works on any objects that look like a `Row` or an `Arm`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from struct import Struct
from typing import NamedTuple, Protocol, TypeVar

from podium._values.enums import ArmStatus, Direction, ExperimentStatus, ScoreOrigin
from podium.errors import error_for

__all__ = [
    "NAN_KEY",
    "Arm",
    "ListedArm",
    "NamedArm",
    "OrderKey",
    "Ranks",
    "Row",
    "Score",
    "ScoreOrigin",
    "best_arm",
    "candidates",
    "conclusion",
    "conclusion_of",
    "experiment_status",
    "find_eval",
    "order_key",
    "origin_of",
    "precedence",
    "primary",
    "primary_class",
    "ranked",
    "same_metrics",
    "score",
    "sort_key",
]


class Row(Protocol):
    """An eval row, as far as reads look at it."""

    @property
    def name(self) -> str:
        """The name of the eval."""

    @property
    def step(self) -> int | None:
        """The step of an in-loop row; None for a post-training row."""

    @property
    def tags(self) -> Collection[str]:
        """Its labels."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured."""

    @property
    def model_ref(self) -> str | None:
        """The model that was scored, where it is not the arm's own."""


class Arm(Protocol):
    """An arm, as far as scores look at it."""

    @property
    def evals(self) -> Sequence[Row]:
        """Its rows, in the order of first acceptance."""

    @property
    def eval_metrics(self) -> Mapping[str, float]:
        """Its eval metrics; empty ones stand for those of the primary eval."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its training metrics."""


class ListedArm(Protocol):
    """An arm, as far as lists have it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def status(self) -> str:
        """How far it has come."""


class NamedArm(Arm, ListedArm, Protocol):
    """An arm, as far as an experiment's conclusion looks at it."""


_R = TypeVar("_R", bound=Row)
_A = TypeVar("_A", bound=NamedArm)


@dataclass(frozen=True, slots=True)
class Score:
    """A score and where it came from."""

    value: float
    """The number; NaN is one."""
    origin: str
    """What kind of result it is part of: a ScoreOrigin."""
    key: str
    """The key that it was found under."""
    eval_name: str | None = None
    """The name of the row, for the two kinds of eval rows."""
    step: int | None = None
    """The step of an in-loop row."""


def find_eval(rows: Iterable[_R], name: str, step: int | None = None) -> _R | None:
    """The row that answers for a name, or the in-loop row at exactly a step.

    Without a step: the post-training row if there is one, else the in-loop row with the
    greatest step. Of rows that repeat an identity, the first one counts.
    """
    named = (row for row in rows if row.name == name)
    if step is not None:
        return next((row for row in named if row.step == step), None)
    return max(named, key=lambda row: precedence(row.step), default=None)


def precedence(step: int | None) -> tuple[bool, int]:
    """Which row of a name answers for it without a step: the one with the greatest of these."""
    return (True, 0) if step is None else (False, step)


def primary_class(step: int | None, tags: Collection[str], model_ref: str | None) -> int | None:
    """How a row stands for primary: the lowest class wins, within a class the first row.

    0: post-training and tagged `test`; 1: post-training; 2: in-loop; None: never, since
    another model was scored.
    """
    if model_ref is not None:
        return None
    if step is not None:
        return 2
    return 0 if "test" in tags else 1


def primary(rows: Iterable[_R]) -> _R | None:
    """The primary eval of an arm's rows, in the order of first acceptance."""
    best: tuple[int, _R] | None = None
    for row in _distinct(rows):
        rank = primary_class(row.step, row.tags, row.model_ref)
        if rank == 0:
            return row
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, row)
    return best[1] if best else None


def candidates(metric: str) -> list[tuple[str | None, str]]:
    """Where a score is looked for: (eval name, key) at each dot from the left, then bare.

    The first that has an entry counts. The name None stands for the arm itself: its eval
    metrics, then its training metrics. Names and keys are never empty, so a dot at an end
    splits nothing.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    if not metric:
        raise error_for("NAME_INVALID", "metric must not be empty", {"field": "metric"})
    dots = [index for index, letter in enumerate(metric) if letter == "."]
    splits = [(metric[:dot], metric[dot + 1 :]) for dot in dots]
    return [*((name, key) for name, key in splits if name and key), (None, metric)]


def score(arm: Arm, metric: str) -> Score | None:
    """The score of an arm on a metric and where it came from; None if there is none.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    for name, key in candidates(metric):
        found = _bare_score(arm, key) if name is None else _row_score(arm, name, key)
        if found is not None:
            return found
    return None


def _row_score(arm: Arm, name: str, key: str) -> Score | None:
    row = find_eval(arm.evals, name)
    if row is None or key not in row.metrics:
        return None
    return _score_of(row, key)


def _score_of(row: Row, key: str) -> Score:
    return Score(float(row.metrics[key]), origin_of(row.step), key, row.name, row.step)


def _bare_score(arm: Arm, key: str) -> Score | None:
    row = primary(arm.evals)
    given = arm.eval_metrics
    if row is not None and (not given or same_metrics(given, row.metrics)):
        if key in row.metrics:
            return _score_of(row, key)
    elif key in given:
        return Score(float(given[key]), ScoreOrigin.GIVEN_EVAL_METRICS, key)
    if key in arm.metrics:
        return Score(float(arm.metrics[key]), ScoreOrigin.TRAINING_METRICS, key)
    return None


def origin_of(step: int | None) -> ScoreOrigin:
    """The origin of a score that a row at this step has."""
    return ScoreOrigin.POST_TRAINING_EVAL if step is None else ScoreOrigin.IN_LOOP_EVAL


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Whether two sets of metrics say the same; NaN is the same as NaN."""
    if left is right:
        return True
    return left.keys() == right.keys() and all(
        value == right[key] or (isnan(value) and isnan(right[key])) for key, value in left.items()
    )


_DOUBLE = Struct("<d")
_INTEGER = Struct("<q")
_MAGNITUDE = 2**63 - 1
NAN_KEY = 2**63 - 1
"""The sort key of NaN, greater than that of every number."""


def sort_key(value: float) -> int:
    """An integer of 64 bits for each number, in the same order; the same for 0.0 and -0.0.

    The bits of doubles above zero are in their order, those below zero in the opposite one.
    """
    if isnan(value):
        return NAN_KEY
    bits: int = _INTEGER.unpack(_DOUBLE.pack(value + 0.0))[0]
    return bits if bits >= 0 else bits ^ _MAGNITUDE


class OrderKey(NamedTuple):
    """Where a score stands in a ranking: the least of these comes first."""

    section: int
    """0 for numbers, 1 for NaN, 2 for no score."""
    key: int
    """Among numbers, the sort key, negated where the greater score is better; else 0."""


def order_key(score: float | None, direction: str | None = None) -> OrderKey:
    """Where a score stands among others, the best first: numbers, then NaN, then None."""
    if score is None:
        return OrderKey(2, 0)
    if isnan(score):
        return OrderKey(1, 0)
    key = sort_key(score)
    return OrderKey(0, key if direction == Direction.MINIMIZE else -key)


@dataclass(slots=True)
class Ranks:
    """Gives places to scores that come in order: equal ones share one (1, 2, 2, 4).

    What it has is where it goes on from: how many scores came, and the last one's place.
    """

    seen: int = 0
    rank: int = 0
    last: OrderKey | None = None

    def next(self, key: OrderKey) -> int | None:
        """The place of the next score; None for no score."""
        self.seen += 1
        if key != self.last:
            self.rank, self.last = self.seen, key
        return None if key.section == order_key(None).section else self.rank


def ranked(
    scores: Sequence[float | None], direction: str | None = None
) -> list[tuple[int, int | None]]:
    """Orders scores: the index and the place of each, the best first, equal ones as they came."""
    keys = [order_key(value, direction) for value in scores]
    ranks = Ranks()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [(index, ranks.next(keys[index])) for index in order]


def experiment_status(*, total: int, completed: int, failed: int) -> ExperimentStatus:
    """What an experiment's arms have come to, from the number of arms."""
    if completed:
        return ExperimentStatus.COMPLETED
    return ExperimentStatus.FAILED if total and failed == total else ExperimentStatus.RUNNING


def best_arm(
    arms: Iterable[_A], metric: str | None, direction: str | None = None
) -> tuple[_A, float] | None:
    """The completed arm with the best score, and that score; of equals, the first one.

    NaN is never the best. Without a direction the greater score is better; without a metric
    there is no best.
    """
    if metric is None:
        return None
    sign = -1.0 if direction == Direction.MINIMIZE else 1.0
    best: tuple[_A, float] | None = None
    for arm in arms:
        found = score(arm, metric) if arm.status == ArmStatus.COMPLETED else None
        if found is None or isnan(found.value):
            continue
        if best is None or sign * found.value > sign * best[1]:
            best = (arm, found.value)
    return best


def conclusion(arms: Sequence[_A], metric: str | None, direction: str | None = None) -> str:
    """What an experiment's arms amount to, in a few words."""
    best = best_arm(arms, metric, direction)
    return conclusion_of(arms, metric, None if best is None else (best[0].name, best[1]))


def conclusion_of(
    arms: Sequence[ListedArm], metric: str | None, best: tuple[str, float] | None
) -> str:
    """The conclusion, given the name of the best arm and its score, if there is one."""
    if not arms:
        return "No arms."
    failed = [arm.name for arm in arms if arm.status == ArmStatus.FAILED]
    if len(failed) == len(arms):
        return f"All {len(arms)} arms failed."
    completed = sum(arm.status == ArmStatus.COMPLETED for arm in arms)
    sentences = [
        f"Best arm: {best[0]} at {metric}={best[1]:.4f}." if best else "",
        f"{completed}/{len(arms)} arms completed.",
        f"Failed: {', '.join(failed)}." if failed else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _distinct(rows: Iterable[_R]) -> Iterator[_R]:
    """The rows without those that repeat an earlier one's identity."""
    seen: set[tuple[str, int | None]] = set()
    for row in rows:
        identity = (row.name, row.step)
        if identity not in seen:
            seen.add(identity)
            yield row
