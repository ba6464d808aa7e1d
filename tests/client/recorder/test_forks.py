"""Tests of hundreds of processes that start while a training run records.

Slow start methods get few processes by default. With this command, each method gets 500:

    PODIUM_FORKS=500 pytest tests/client/recorder/test_forks.py
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import podium
import pytest
from podium_server.testing import RunningServer

from tests.client.recorder.conftest import wait_for_delivery
from tests.client.recorder.forking import ROWS

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[3]
COUNTS = {
    "os.fork": 500,
    "fork": 200,
    "fork pool": 900,
    "forkserver": 200,
    "spawn": 24,
    "spawn pool": 900,
}


@pytest.mark.parametrize("method", COUNTS)
def test_processes_that_record(
    server: RunningServer, outbox: Path, client: podium.Client, name: str, method: str
) -> None:
    """With any start method, no process hangs or crashes, and each row is stored once."""
    count = int(os.environ.get("PODIUM_FORKS") or COUNTS[method])
    command = [sys.executable, "-m", "tests.client.recorder.forking", method, str(count), name]
    told = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)}
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **told},
        timeout=900,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{count} processes ended well\n"), done.stderr
    wait_for_delivery(outbox, name)
    found = client.arm(name, "arm").get()
    assert found.status == "completed"
    parents = {n: int(found.metrics.pop(f"parent{n}")) for n in range(2)}
    assert min(parents.values()) > 0
    assert found.metrics == {f"child{number}": number for number in range(count)}
    rows = Counter((row.name, row.step) for row in found.evals)
    assert max(rows.values()) == 1
    expected = {(f"child{number}", step) for number in range(count) for step in range(ROWS)}
    expected |= {(f"parent{n}", step) for n, steps in parents.items() for step in range(steps)}
    assert rows.keys() == expected
