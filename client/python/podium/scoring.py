"""Defines the results of `eval` and `score`, once for server and clients.

All functions are pure. They accept any objects with the fields of a `Row` or an `Arm`.
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
    """The fields of an eval row that reads use."""

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
    """The fields of an arm that scores use."""

    @property
    def evals(self) -> Sequence[Row]:
        """The rows, in the order in which they were first accepted."""

    @property
    def eval_metrics(self) -> Mapping[str, float]:
        """The eval metrics. If empty, those of the primary eval are used."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """The training metrics."""


class ListedArm(Protocol):
    """The fields of an arm that lists return."""

    @property
    def name(self) -> str:
        """The name of the arm."""

    @property
    def status(self) -> str:
        """The status of the arm: an ArmStatus."""


class NamedArm(Arm, ListedArm, Protocol):
    """The fields of an arm that an experiment's conclusion uses."""


_R = TypeVar("_R", bound=Row)
_A = TypeVar("_A", bound=NamedArm)


@dataclass(frozen=True, slots=True)
class Score:
    """A score and its source."""

    value: float
    """The number, which may be NaN."""
    origin: str
    """The kind of result that it is part of: a ScoreOrigin."""
    key: str
    """The key of the metric."""
    eval_name: str | None = None
    """The name of the eval row; None if the score is not from a row."""
    step: int | None = None
    """The step of an in-loop row; None for any other source."""


def find_eval(rows: Iterable[_R], name: str, step: int | None = None) -> _R | None:
    """Returns the row of a name, or its in-loop row at exactly a step; None if there is none.

    Without a step: the post-training row if there is one, else the in-loop row with the
    greatest step. Of rows with the same name and step, the first one is used.
    """
    named = (row for row in rows if row.name == name)
    if step is not None:
        return next((row for row in named if row.step == step), None)
    return max(named, key=lambda row: precedence(row.step), default=None)


def precedence(step: int | None) -> tuple[bool, int]:
    """Returns a sort key. The row of a name with the greatest key is used if no step is given."""
    return (True, 0) if step is None else (False, step)


def primary_class(step: int | None, tags: Collection[str], model_ref: str | None) -> int | None:
    """Returns a row's priority as primary eval. The first row of the lowest class is primary.

    0: post-training and tagged `test`; 1: post-training; 2: in-loop; None: never primary, since
    another model was evaluated.
    """
    if model_ref is not None:
        return None
    if step is not None:
        return 2
    return 0 if "test" in tags else 1


def primary(rows: Iterable[_R]) -> _R | None:
    """Returns the primary eval of rows in the order of first acceptance; None if there is none."""
    best: tuple[int, _R] | None = None
    for row in _distinct(rows):
        rank = primary_class(row.step, row.tags, row.model_ref)
        if rank == 0:
            return row
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, row)
    return best[1] if best else None


def candidates(metric: str) -> list[tuple[str | None, str]]:
    """Returns where a metric is looked up: (eval name, key) for each dot from the left, then bare.

    The first one that exists is used. The name None means the arm itself: its eval metrics, then
    its training metrics. Names and keys are never empty, so a dot at either end is not a separator.

    Raises:
        InvalidArgumentError: The metric is empty.
    """
    if not metric:
        raise error_for("NAME_INVALID", "metric must not be empty", {"field": "metric"})
    dots = [index for index, letter in enumerate(metric) if letter == "."]
    splits = [(metric[:dot], metric[dot + 1 :]) for dot in dots]
    return [*((name, key) for name, key in splits if name and key), (None, metric)]


def score(arm: Arm, metric: str) -> Score | None:
    """Returns the score of an arm on a metric and its source; None if there is none.

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
    """Returns the origin of the scores of a row at this step."""
    return ScoreOrigin.POST_TRAINING_EVAL if step is None else ScoreOrigin.IN_LOOP_EVAL


def same_metrics(left: Mapping[str, float], right: Mapping[str, float]) -> bool:
    """Returns whether two sets of metrics are equal, where NaN equals NaN."""
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
    """Maps a number to a 64-bit integer in the same order; 0.0 and -0.0 map to the same one.

    The bits of positive doubles sort like the numbers, those of negative ones in reverse.
    """
    if isnan(value):
        return NAN_KEY
    bits: int = _INTEGER.unpack(_DOUBLE.pack(value + 0.0))[0]
    return bits if bits >= 0 else bits ^ _MAGNITUDE


class OrderKey(NamedTuple):
    """The sort key of a score in a ranking. The least key comes first."""

    section: int
    """0 for numbers, 1 for NaN, 2 for no score."""
    key: int
    """The sort key of a number, negated if greater scores are better; 0 in other sections."""


def order_key(score: float | None, direction: str | None = None) -> OrderKey:
    """Returns the sort key of a score. The best number is first, then NaN, then None."""
    if score is None:
        return OrderKey(2, 0)
    if isnan(score):
        return OrderKey(1, 0)
    key = sort_key(score)
    return OrderKey(0, key if direction == Direction.MINIMIZE else -key)


@dataclass(slots=True)
class Ranks:
    """Assigns ranks to scores that come in order. Equal scores share a rank (1, 2, 2, 4).

    Created with the values of another one, it continues from there.
    """

    seen: int = 0
    rank: int = 0
    last: OrderKey | None = None

    def next(self, key: OrderKey) -> int | None:
        """Returns the rank of the next score; None if there is no score."""
        self.seen += 1
        if key != self.last:
            self.rank, self.last = self.seen, key
        return None if key.section == order_key(None).section else self.rank


def ranked(
    scores: Sequence[float | None], direction: str | None = None
) -> list[tuple[int, int | None]]:
    """Sorts scores; returns the index and rank of each, the best first, equal ones as given."""
    keys = [order_key(value, direction) for value in scores]
    ranks = Ranks()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return [(index, ranks.next(keys[index])) for index in order]


def experiment_status(*, total: int, completed: int, failed: int) -> ExperimentStatus:
    """Returns the status of an experiment from its numbers of arms."""
    if completed:
        return ExperimentStatus.COMPLETED
    return ExperimentStatus.FAILED if total and failed == total else ExperimentStatus.RUNNING


def best_arm(
    arms: Iterable[_A], metric: str | None, direction: str | None = None
) -> tuple[_A, float] | None:
    """Returns the completed arm with the best score, and the score; the first one of equals.

    NaN is never the best. Without a direction, greater scores are better. Returns None if no arm
    has a score, or without a metric.
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
    """Returns a short summary of an experiment's arms as text."""
    best = best_arm(arms, metric, direction)
    return conclusion_of(arms, metric, None if best is None else (best[0].name, best[1]))


def conclusion_of(
    arms: Sequence[ListedArm], metric: str | None, best: tuple[str, float] | None
) -> str:
    """Returns the same summary, given the name and score of the best arm if there is one."""
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
    """Yields the rows, but of rows with the same name and step only the first one."""
    seen: set[tuple[str, int | None]] = set()
    for row in rows:
        identity = (row.name, row.step)
        if identity not in seen:
            seen.add(identity)
            yield row
