"""Nothing is lost or doubled when trainers, senders and the server are killed while they record.

`make chaos` does it for longer.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.chaos.run import run

pytestmark = pytest.mark.slow

_PROJECT = Path(__file__).parents[3]
_SEED = 20_261_123


def test_kills_lose_nothing_and_double_nothing() -> None:
    """After 20 kills, on a small disk where one can be mounted, everything is there once."""
    arguments = ("--kills", "20", "--rows", "6000", "--seed", str(_SEED))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.crash.chaos.run", *arguments],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"seed {_SEED}: " in ran.stdout
    assert "0 lost, 0 doubled, 0 other findings" in ran.stdout


@pytest.mark.parametrize(
    ("plant", "kind"), [("skip_a_wait", "lost"), ("no_cut", "lost"), ("resend_anew", "doubled")]
)
def test_the_search_finds_a_planted_defect(plant: str, kind: str) -> None:
    """The harness can fail: it finds the events that a sender with a defect loses or doubles."""
    report = run(0, 200, _SEED, plant=plant)
    assert getattr(report.findings, kind) > 0, str(report)
