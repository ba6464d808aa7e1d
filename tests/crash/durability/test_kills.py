"""Nothing acknowledged is lost or doubled by SIGKILL of the server under write load."""

import pytest

from tests.crash.durability.kills import kill_under_load

pytestmark = pytest.mark.slow

_SEED = 20_261_123


def test_kills_lose_nothing_and_double_nothing() -> None:
    """After ten kills the server holds exactly what it acknowledged, once, in order."""
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
    """The harness is able to fail: it finds what a server with a defect lost or doubled.

    Whether a kill hits the moment that shows the defect is chance, so it searches in rounds.
    """
    reports = []
    for seed in range(_SEED, _SEED + 6):
        reports.append(kill_under_load(kills=6, rows=600, seed=seed, plant=plant))
        if getattr(reports[-1].findings, kind) > 0:
            return
    pytest.fail("\n".join(map(str, reports)))
