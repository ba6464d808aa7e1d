"""Nothing is lost or doubled when trainers, senders and the server are killed while they record.

`make chaos` does it for longer, and searches for each of the planted defects.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.chaos.run import search

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


@pytest.mark.parametrize("plant", ["skip_a_wait", "no_cut"])
def test_the_search_finds_a_planted_defect(plant: str) -> None:
    """The harness is able to fail: it finds what a sender with a defect loses."""
    reports = search(plant, _SEED)
    assert reports[-1].findings.lost > 0, "\n".join(map(str, reports))
