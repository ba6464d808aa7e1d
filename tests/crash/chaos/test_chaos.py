"""Tests that the checks of `make chaos` find planted defects."""

import pytest

from tests.crash.chaos.run import run

pytestmark = pytest.mark.slow

_SEED = 20_261_123


@pytest.mark.parametrize(
    ("plant", "kind"), [("skip_a_wait", "lost"), ("no_cut", "lost"), ("resend_anew", "doubled")]
)
def test_the_search_finds_a_planted_defect(plant: str, kind: str) -> None:
    """If a sender has a defect, a chaos run finds the events that it loses or sends twice."""
    report = run(0, 200, _SEED, plant=plant)
    assert getattr(report.findings, kind) > 0, str(report)
