"""Fixtures: a server to which training runs in this process and in others record."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Several threads would slow down training runs as tiny as these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import podium
import pytest
from podium_server.testing import RunningServer, running_server

_PROJECT = Path(__file__).parents[3]
_KILLED = Path(__file__).with_name("killed.py")
_SECONDS = 600

Ended = Callable[[str, str], podium.ArmResult]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    """Yields a new server.

    PODIUM_ADDRESS names it, and PODIUM_OUTBOX names a folder of the test.
    """
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path / "outbox"))
    with running_server() as server:
        monkeypatch.setenv("PODIUM_ADDRESS", server.address)
        yield server


@pytest.fixture
def ended(server: RunningServer) -> Iterator[Ended]:
    """Yields a function that waits until an arm has arrived and ended, and returns it."""
    with podium.Client(server.address) as client:

        def arm(experiment: str, name: str) -> podium.ArmResult:
            deadline = time.monotonic() + 240
            while True:
                try:
                    found = client.arm(experiment, name).get()
                except podium.NotFoundError:
                    found = None
                if found is not None and found.status not in {"pending", "running"}:
                    return found
                assert time.monotonic() < deadline, found
                time.sleep(0.05)

        yield arm


@pytest.fixture
def run(server: RunningServer) -> Run:
    """Returns a function that runs an example, or a script of the tests, in a process.

    If `kill_after` is given, the process is killed after that many in-loop rows. `launcher` has
    arguments for Python that come before the script, such as `-m torch.distributed.run`.
    """
    assert server

    def run(
        example: str | Path, *arguments: str, kill_after: int = 0, launcher: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        killed = [str(_KILLED), str(kill_after)] if kill_after else []
        script = str(_PROJECT / "examples" / "integrations" / example)
        return subprocess.run(
            [sys.executable, *launcher, *killed, script, *arguments],
            check=False,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )

    return run
