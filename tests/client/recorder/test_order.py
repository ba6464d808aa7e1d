"""Tests that events of an arm, and new arms, keep the order in which a process recorded them."""

import os
import sys
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import StreamInfo, streams
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.recorder.conftest import wait_for_delivery
from tests.client.recorder.looking import PATIENT, told
from tests.client.sender.outboxes import until

CONFIG = podium.RunConfig("arm")


def _sync(outbox: Path) -> None:
    command = [sys.executable, "-m", "podium", "sync", str(outbox)]
    zygote.run(command, check=False, timeout=240, capture_output=True)


def _infos(outbox: Path) -> list[StreamInfo]:
    found = [folder for server in outbox.glob("*/*") for folder in streams(server)]
    return [StreamInfo.read(folder) for folder in found]


@pytest.mark.parametrize("offline", [False, True])
def test_an_arm_that_is_started_twice_ends_as_logged(
    record: Any, client: podium.Client, name: str, tmp_path: Path, *, offline: bool
) -> None:
    """If an arm is started twice, later events of the first attempt are rejected."""
    outbox = tmp_path / "outbox"
    with record(name, outbox=outbox, offline=offline) as experiment:
        first = experiment.start_arm(CONFIG, order=1)
        second = experiment.start_arm(CONFIG, order=2)
        second.log_eval("test", {"n": 2})
        first.log({"loss": 5})
        first.finish()
        second.finish(train_seconds=2)
        experiment.flush(60)
        assert offline or experiment.counters.rejected == 2
    if offline:
        assert [info.arm for info in _infos(outbox)].count("arm") == 1
        _sync(outbox)
    found = client.arm(name, "arm").get()
    assert found.attempt == podium.Attempt(second.attempt_id, 2)
    assert (found.status, found.metrics, found.train_seconds) == ("completed", {}, 2.0)
    assert [row.name for row in found.evals] == ["test"]


def test_logging_after_the_end_keeps_its_place(
    record: Any, client: podium.Client, name: str, tmp_path: Path
) -> None:
    """Of an arm's nine streams, one follows no other. The other eight follow different streams.

    After the delivery, the arm has the values that were logged last.
    """
    outbox = tmp_path / "outbox"
    for run in range(3):
        with record(name, outbox=outbox, offline=True) as experiment:
            with experiment.start_arm(CONFIG, order=run + 1, restart=True) as arm:
                for step in range(50):
                    arm.log_eval("val", {"run": run}, step=step)
            arm.log({"late": run})
            experiment.arm("arm").log({"evaluator": run})
            with experiment.start_arm(CONFIG, order=run + 1, attempt_id=arm.attempt_id):
                pass
            arm.log({"last": run})
    follows = [info.follows for info in _infos(outbox) if info.arm == "arm"]
    assert len(follows) == 9
    assert follows.count(None) == 1
    assert len(set(follows)) == 9
    _sync(outbox)
    found = client.arm(name, "arm").get()
    assert found.metrics == {"late": 2.0, "evaluator": 2.0, "last": 2.0}
    assert [(row.step, row.metrics["run"]) for row in found.evals] == [(n, 2.0) for n in range(50)]
    assert list(outbox.glob("*/*/*/stream.json")) == []


def test_two_recorders_of_one_process(record: Any, client: podium.Client, name: str) -> None:
    """If two recorders of a process log to an arm in turn, the last logged value is kept."""
    with record(name) as one, record(name) as other:
        with one.start_arm(CONFIG) as arm:
            evaluator = other.arm("arm")
            for turn in range(5):
                arm.log({"turn": turn})
                evaluator.log({"turn": turn + 0.5})
        assert evaluator.flush(60).durable
        assert arm.flush(60).durable
    assert client.arm(name, "arm").get().metrics == {"turn": 4.5}


def test_an_arm_that_continues_in_another_stream_is_running(
    record: Any, client: podium.Client, name: str, tmp_path: Path
) -> None:
    """If another stream continues the stream of an arm, the arm keeps running until `finish`."""
    outbox = tmp_path / "outbox"
    with record(name, outbox=outbox) as one, record(name, outbox=outbox) as other:
        arm = one.start_arm(CONFIG)
        arm.log({"loss": 1})
        assert arm.flush(60).durable
        first = arm._stream.folder
        evaluator = other.arm("arm")
        evaluator.log_eval("val", {"n": 1}, step=1)
        arm.log({"loss": 2})
        assert arm.flush(60).durable
        until(lambda: not first.exists())
        assert client.arm(name, "arm").get().status == "running"
        arm.finish()
    assert client.arm(name, "arm").get().status == "completed"


def test_an_early_row_does_not_delay_the_start(
    record: Any, client: podium.Client, name: str, tmp_path: Path
) -> None:
    """A row that is logged before its arm is started waits, but does not delay the start."""
    outbox = tmp_path / "outbox"
    with record(name, outbox=outbox) as experiment:
        evaluator = experiment.arm("arm")
        evaluator.log_eval("early", {"n": 1})
        assert evaluator.flush(0.5).pending == 1
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
        evaluator.log_eval("late", {"n": 2})
        assert arm.flush(60).durable
        assert evaluator.flush(60).durable
    assert client.arm(name, "arm").get().metrics == {"loss": 1.0}
    assert {row.name for row in client.arm(name, "arm").evals()} == {"early", "late"}


def test_a_rejected_start_does_not_affect_other_arms(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If the call that creates an arm is rejected, later events of this arm are rejected, too.

    Other arms are recorded.
    """
    with record(name) as experiment, experiment.start_arm(CONFIG, name="good"):
        pass
    with record(name) as experiment:
        bad = podium.ArmResult("arm", CONFIG, "completed", eval_metrics={"n": 2})
        bad.evals.append(podium.EvalResult("test", metrics={"n": 1}))
        experiment.record_arm(bad)
        experiment.arm("arm").log({"n": 1})
        experiment.start_arm(CONFIG, name="next").finish()
        flushed = experiment.flush(60)
        assert (flushed.pending, flushed.rejected) == (0, 2)
    assert "MIRROR_CONTRADICTS_EVALS" in told(caplog)[0]
    assert {arm.name for arm in client.experiment(name).arms()} == {"good", "next"}


@pytest.mark.slow
@pytest.mark.parametrize("offline", [False, True])
def test_arms_are_created_in_the_order_of_their_starts(
    record: Any, client: podium.Client, name: str, tmp_path: Path, *, offline: bool
) -> None:
    """The server lists arms in the order in which the process started or recorded them."""
    outbox = tmp_path / "outbox"
    names = [f"a{number:02}" for number in range(40)]
    with record(name, outbox=outbox, offline=offline) as experiment:
        for number, arm in enumerate(names):
            if number % 3:
                experiment.start_arm(CONFIG, name=arm).finish()
            else:
                experiment.record_arm(podium.ArmResult(arm, CONFIG, "completed"))
        experiment.flush(60)
    if offline:
        _sync(outbox)
    assert [arm.name for arm in client.experiment(name).arms()] == names


FORKS = """
import os, sys
import podium

with podium.record(sys.argv[1], close_timeout=120) as experiment:
    with experiment.start_arm(podium.RunConfig("arm"), attempt_id="a") as arm:
        arm.log({"parent": 1})
        if os.fork() == 0:
            arm.log({"child": 1})
            experiment.start_arm(podium.RunConfig("of the child")).finish()
            os._exit(not arm.flush(60).durable)
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_fork_has_an_order_of_its_own(
    server: RunningServer, outbox: Path, client: podium.Client, name: str
) -> None:
    """Events of a forked child are delivered without waiting for those of its parent."""
    places = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)}
    zygote.run(
        [sys.executable, "-W", "ignore", "-c", PATIENT + FORKS, name],
        env={**os.environ, **places},
        check=True,
        timeout=240,
    )
    wait_for_delivery(outbox, name)  # after `sys.exit`, the end of a block waits only a second
    assert client.arm(name, "arm").get().metrics == {"parent": 1.0, "child": 1.0}
    assert client.arm(name, "of the child").get().status == "completed"
