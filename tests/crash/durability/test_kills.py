"""Tests that killing a server under write load loses no acknowledged row, and doubles none."""

import pytest

from tests.crash.durability.kills import kill_under_load

pytestmark = pytest.mark.slow

_SEED = 20_261_123


def test_acknowledged_rows_survive_kills() -> None:
    """After ten kills, the server has exactly the acknowledged rows, once and in order."""
    report = kill_under_load(kills=10, rows=3_000, seed=_SEED)

    assert not report.findings.any, str(report)
    assert report.kills >= 10
    assert report.rows >= 3_000
    assert report.unknown > 0, "no kill left a call without an answer"


@pytest.mark.parametrize(
    ("plant", "kind"),
    [("ack_before_commit", "lost"), ("position_apart", "doubled"), ("resend_is_new", "doubled")],
)
def test_the_search_finds_a_planted_defect(plant: str, kind: str) -> None:
    """If the server has a defect, the search finds the rows that are lost or doubled."""
    report = kill_under_load(kills=1, rows=100, seed=_SEED, plant=plant)
    assert getattr(report.findings, kind) > 0, str(report)
