"""Tests of the counts and flags of a ranking that is made without a server."""

import math
from typing import Any

import pytest
from podium import ArmResult, EvalResult, RankFlag, RunConfig
from podium.ranking import rank


def _arm(name: str, *found: float, status: Any = "completed", benchmark: str = "b") -> ArmResult:
    rows = [EvalResult("v", benchmark, metrics={"n": value}) for value in found]
    return ArmResult(name, RunConfig("r"), status, evals=rows)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_counts_of_a_ranking(direction: Any) -> None:
    """A ranking counts numbers, NaNs and arms without a score separately.

    Arms of other statuses are left out.
    """
    arms = [
        _arm("one", 1.0),
        _arm("nan", math.nan),
        _arm("none"),
        _arm("two", 2.0, benchmark="c"),
        _arm("failed", 3.0, status="failed"),
    ]
    found = rank(arms, "v.n", direction=direction)
    counts = found.counts
    assert (counts.numbers, counts.nans, counts.without_score) == (2, 1, 1)
    assert (counts.left_out.failed, counts.left_out.completed) == (1, 0)
    best = ["two", "one"] if direction == "maximize" else ["one", "two"]
    assert [arm.arm for arm in found.arms] == [*best, "nan", "none"]
    assert [arm.rank for arm in found.arms][:2] == [1, 2]
    flags = {arm.arm: set(arm.flags) for arm in found.arms}
    assert flags["none"] == set()
    assert flags["nan"] == {RankFlag.NAN, RankFlag.BENCHMARKS_DIFFER}
    assert flags["one"] == flags["two"] == {RankFlag.BENCHMARKS_DIFFER}
    assert [(source.eval_name, source.scores) for source in found.sources] == [("v", 2), ("v", 1)]
