"""A second, simple implementation of the rules of reads, and random arms.

The functions share no code with `podium.scoring`. Each one follows the text of a rule, without
regard to speed. Tests compare both implementations on thousands of random arms.
"""

import math
from dataclasses import dataclass
from random import Random

from podium import ArmResult, EvalResult, RunConfig
from podium.scoring import Score

__all__ = [
    "Questions",
    "eval_answer",
    "random_arm",
    "random_questions",
    "refusal",
    "score_answer",
]

# Few names and keys, so that rows repeat, and metric names can be split at several dots.
_NAMES = ("a", "a.b", "b", "b.c", ".", "a.", "test", "bench@x/4.1", "caf\u00e9")
_KEYS = ("acc", "b", "c", "b.c", "a.b", "1", "acc.", ".c", "1.acc", "\u00e9")
_STEPS = (None, None, None, 0, 0, -1, 1, 5, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
_TAGS: tuple[list[str], ...] = ([], [], ["test"], ["val", "test"], ["Test"], ["testing", "val"])
_VALUES = (0.0, -0.0, math.nan, math.inf, -math.inf, 0.25, 0.5, 0.75, 1e-300)


# ---- The rules ---------------------------------------------------------------------------


def eval_answer(arm: ArmResult, name: str, step: int | None) -> EvalResult | None:
    """Returns the row that answers `eval(name, step=step)`. The step can be None."""
    rows = [row for row in _rows(arm) if row.name == name]
    if step is not None:
        at_step = [row for row in rows if row.step is not None and row.step == step]
        return at_step[0] if at_step else None
    post_training = [row for row in rows if row.step is None]
    if post_training:
        return post_training[0]
    by_step = {row.step: row for row in rows if row.step is not None}
    return by_step[max(by_step)] if by_step else None


def score_answer(arm: ArmResult, metric: str) -> Score | None:
    """Returns the score on a metric, whose name must not be empty."""
    parts = metric.split(".")
    for length in range(1, len(parts)):
        name, key = ".".join(parts[:length]), ".".join(parts[length:])
        row = eval_answer(arm, name, None)
        if row is not None and key in row.metrics:
            return _of_row(row, key)
    return _bare(arm, metric)


def refusal(arm: ArmResult) -> str | None:
    """Returns the reason for which a server rejects the arm, or None if it accepts the arm."""
    given = _given(arm)
    contradicts = arm.evals and given and not _equal(given, _mirrored(arm))
    return "MIRROR_CONTRADICTS_EVALS" if contradicts else None


def _rows(arm: ArmResult) -> list[EvalResult]:
    rows: list[EvalResult] = []
    for row in arm.evals:
        if (row.name, row.step) not in [(other.name, other.step) for other in rows]:
            rows.append(row)
    return rows


def _primary(arm: ArmResult) -> EvalResult | None:
    own = [row for row in _rows(arm) if row.model_ref is None]
    post_training = [row for row in own if row.step is None]
    tagged = [row for row in post_training if "test" in row.tags]
    return (tagged + post_training + own + [None])[0]


def _mirrored(arm: ArmResult) -> dict[str, float]:
    primary = _primary(arm)
    return {} if primary is None else primary.metrics


def _given(arm: ArmResult) -> dict[str, float]:
    given: dict[str, float] = vars(arm)["eval_metrics"]
    return given


def _bare(arm: ArmResult, key: str) -> Score | None:
    primary, given = _primary(arm), _given(arm)
    if primary is not None and (given == {} or _equal(given, primary.metrics)):
        if key in primary.metrics:
            return _of_row(primary, key)
    elif key in given:
        return Score(given[key], "given_eval_metrics", key)
    if key in arm.metrics:
        return Score(arm.metrics[key], "training_metrics", key)
    return None


def _of_row(row: EvalResult, key: str) -> Score:
    origin = "post_training_eval" if row.step is None else "in_loop_eval"
    return Score(row.metrics[key], origin, key, row.name, row.step)


def _equal(left: dict[str, float], right: dict[str, float]) -> bool:
    return sorted(left) == sorted(right) and all(
        left[key] == right[key] or (math.isnan(left[key]) and math.isnan(right[key]))
        for key in left
    )


# ---- Random arms -------------------------------------------------------------------------


@dataclass
class Questions:
    """Questions about an arm: names of evals, each with a step or None, and names of metrics."""

    evals: list[tuple[str, int | None]]
    scores: list[str]


def random_arm(rng: Random, name: str = "a") -> ArmResult:
    """Returns an arm whose rows repeat, and whose names can be split at several dots."""
    status = rng.choice(("pending", "running", "completed", "failed", "cancelled"))
    evals = [_random_row(rng) for _ in range(rng.choice((0, 1, 2, 3, 4, 6, 9)))]
    arm = ArmResult(
        name, RunConfig(name), status, _random_metrics(rng, _KEYS + _NAMES), evals=evals
    )
    kind = rng.random()
    if kind < 0.2:
        arm.eval_metrics = _random_metrics(rng, _KEYS)
    elif kind < 0.4:
        arm.eval_metrics = dict(_mirrored(arm))
    return arm


def random_questions(rng: Random, arm: ArmResult) -> Questions:
    """Returns questions about an arm, most of them with names from its rows."""
    names = [row.name for row in arm.evals] + [rng.choice(_NAMES)]
    steps = [None, None, *(row.step for row in arm.evals), rng.choice(_STEPS)]
    keys = [key for row in arm.evals for key in row.metrics] + [*arm.metrics, rng.choice(_KEYS)]
    dotted = [f"{rng.choice(names)}.{rng.choice(keys)}" for _ in range(4)]
    bare = [rng.choice(keys) for _ in range(3)]
    return Questions([(rng.choice(names), rng.choice(steps)) for _ in range(5)], dotted + bare)


def _random_row(rng: Random) -> EvalResult:
    return EvalResult(
        rng.choice(_NAMES),
        metrics=_random_metrics(rng, _KEYS),
        eval_seconds=rng.choice((0.0, 1.5)),
        step=rng.choice(_STEPS),
        tags=rng.choice(_TAGS),
        model_ref=rng.choice((None, None, None, None, "openai/gpt-4.1")),
    )


def _random_metrics(rng: Random, keys: tuple[str, ...]) -> dict[str, float]:
    return {rng.choice(keys): rng.choice(_VALUES) for _ in range(rng.randrange(4))}
