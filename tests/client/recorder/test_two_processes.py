"""Tests of two processes that train the same arm: each gets a warning."""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.cli import main
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.recorder.looking import told

FIRST = """
import sys
import podium
_, experiment, address, outbox = sys.argv
with podium.record(experiment, address=address, outbox=outbox) as recording:
    order = int(sys.stdin.readline())
    arm = recording.start_arm(podium.RunConfig("arm"), attempt_id="first", order=order)
    arm.flush(60)
    print("started", flush=True)
    for line in sys.stdin:
        arm.log({"loss": float(line)})
        print(arm.flush(60), flush=True)
"""


@pytest.fixture
def first(server: RunningServer, outbox: Path, name: str) -> Any:
    """Yields a process that reads the order of an attempt, and then numbers, from stdin.

    It starts the arm as an attempt of this order. It logs each number as a loss, and then prints
    the result of `flush`.
    """
    command = [sys.executable, "-c", FIRST, name, server.address, str(outbox)]
    pipe = subprocess.PIPE
    with zygote.start(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        yield process
        process.kill()


def _say(process: Any, number: int) -> str:
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    return str(process.stdout.readline())


def test_both_processes_warn(
    record: Any, first: Any, outbox: Path, name: str, caplog: Any, capsys: Any
) -> None:
    """The second process warns at its start, and the first one when its next event is rejected.

    `podium outbox` shows the reason and says what to do.
    """
    _say(first, 1)
    with record(name) as experiment, experiment.start_arm(podium.RunConfig("arm"), order=2) as arm:
        assert arm.flush(60).durable
        (line,) = told(caplog)
        assert re.fullmatch(
            rf"podium: start_arm of arm 'arm' of '{name}': process {first.pid} of this machine "
            r"records this arm, too \(attempt 'first', since .* UTC\)\. Only the newest attempt of "
            r"an arm is kept: the server rejects everything that the other process logs from now "
            r"on\. Give "
            r"each training run its own arm name, or end one of the processes",
            line,
        )
        assert "rejected=1" in _say(first, 5)
    _, warnings = first.communicate(timeout=120)
    reason = "STALE_ATTEMPT: attempt 'first' is not the newest attempt of arm 'arm'"
    assert f"the server rejected an event of arm 'arm' of '{name}'" in warnings
    assert reason in warnings
    main(["outbox", str(outbox)])
    listed = capsys.readouterr().out
    assert reason in listed
    assert "`podium outbox retry --as NAME`" in listed


def test_an_older_attempt_is_warned(record: Any, first: Any, name: str, caplog: Any) -> None:
    """A process that starts an older attempt is warned that its own events will be rejected."""
    _say(first, 3)
    with record(name) as experiment:
        experiment.start_arm(podium.RunConfig("arm"), order=2).flush(60)
    assert "the server rejects everything that this process logs from now on" in told(caplog)[0]


def test_a_killed_process_causes_no_warning(
    record: Any, first: Any, name: str, caplog: Any
) -> None:
    """If the process of the earlier attempt was killed, a new attempt causes no warning."""
    _say(first, 1)
    first.kill()
    first.wait(120)
    with record(name) as experiment, experiment.start_arm(podium.RunConfig("arm"), order=2) as arm:
        assert arm.flush(60).durable
    assert told(caplog) == []


class _Uname:
    """The result of `os.uname` on another host."""

    def __init__(self, nodename: str) -> None:
        self.nodename = nodename


@pytest.mark.parametrize("provenance", [True, False])
@pytest.mark.parametrize(
    ("order", "older", "newest"),
    [(2, "gpu-7", "gpu8"), (0, "gpu8", "gpu-7")],
    ids=["later", "clock behind"],
)
def test_the_warning_names_the_process_of_the_newest_attempt(
    order: int,
    older: str,
    newest: str,
    provenance: bool,
    server: RunningServer,
    tmp_path: Path,
    name: str,
    caplog: Any,
    monkeypatch: Any,
) -> None:
    """The warning of an older attempt names the host and the process of the newest attempt.

    If the clock of a host is behind, the attempt that it starts later has the lower order. So it
    counts as the older one. Otherwise, a second warning names the running attempt that the newest
    one replaced. Both warnings name the hosts even if provenance is off.
    """
    monkeypatch.delenv("PODIUM_PROVENANCE")
    arms, recordings = {}, []
    given: Any = {"address": server.address, "provenance": provenance}
    for host, started in (("gpu-7", 1), ("gpu8", order)):
        monkeypatch.setattr(os, "uname", partial(_Uname, host))
        recordings.append(podium.record(name, outbox=tmp_path / host, **given))
        arms[host] = recordings[-1].start_arm(podium.RunConfig("arm"), order=started)
        arms[host].flush(60)
    arms[older].log({"loss": 1.0})
    assert arms[older].flush(60).rejected
    assert not arms[newest].flush(60).rejected
    warned = [line for line in told(caplog) if "STALE_ATTEMPT" in line]
    assert f"Newest attempt: '{newest}-{os.getpid()}-" in warned[0]
    assert "`podium outbox retry --" in warned[0]
    replacing = [line for line in told(caplog) if "was running when this attempt started" in line]
    assert len(replacing) == (order > 1)
    if replacing:
        assert f"attempt 'gpu-7-{os.getpid()}-" in replacing[0]
        assert "on host 'gpu-7'" in replacing[0]
    for recording in recordings:
        recording.close()
