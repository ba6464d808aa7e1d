"""Tests that `podium.scoring` and ArmResult agree with a simple implementation."""

import struct
from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest
from podium import scoring
from podium.scoring import Score

from tests.sparse import sparse
from tests.unit.scoring.bruteforce import (
    eval_answer,
    random_arm,
    random_questions,
    refusal,
    score_answer,
)


def _bits(score: Score | None) -> object:
    if score is None:
        return None
    return (struct.pack("<d", score.value), score.origin, score.key, score.eval_name, score.step)


@pytest.mark.parametrize("count", sparse([400, 10_000]))
def test_functions_and_arm_result_agree_with_the_naive_rules(count: int) -> None:
    """On many random arms, every answer equals that of the simple rules, to the last bit."""
    rng = Random(20_251_123)  # noqa: S311 - the same arms every time
    for _ in range(count):
        arm = random_arm(rng)
        questions = random_questions(rng, arm)
        for name, step in questions.evals:
            expected = eval_answer(arm, name, step)
            assert scoring.find_eval(arm.evals, name, step) is expected, (arm, name, step)
            assert arm.eval(name, step=step) is expected, (arm, name, step)
        given = vars(arm)["eval_metrics"]
        rows = SimpleNamespace(evals=arm.evals, eval_metrics=given, metrics=arm.metrics)
        for metric in questions.scores:
            answer = score_answer(arm, metric)
            assert _bits(scoring.score(rows, metric)) == _bits(answer), (arm, metric)
            value = arm.score(metric)
            assert repr(value) == repr(answer.value if answer else None), (arm, metric)


def test_random_arms_get_each_kind_of_answer() -> None:
    """Each kind of answer occurs often among random arms, and so do rejected arms."""
    rng = Random(1)  # noqa: S311 - the same arms every time
    seen: Counter[str] = Counter()
    for _ in range(1_000):
        arm = random_arm(rng)
        seen[refusal(arm) or "recorded"] += 1
        seen["repeated"] += len({(row.name, row.step) for row in arm.evals}) < len(arm.evals)
        questions = random_questions(rng, arm)
        for name, step in questions.evals:
            seen["no row" if eval_answer(arm, name, step) is None else "row"] += 1
        for metric in questions.scores:
            score = score_answer(arm, metric)
            seen[score.origin if score else "no score"] += 1
            seen["dotted name"] += score is not None and "." in (score.eval_name or "")
    assert set(seen) >= {"MIRROR_CONTRADICTS_EVALS", "recorded", "row", "no row", "no score"}
    assert set(seen) >= set(scoring.ScoreOrigin)
    assert min(seen.values()) >= 50, seen
