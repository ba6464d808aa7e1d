"""Tests of the counts and warnings of a recorder about the delivery of its results."""

import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import streams
from podium._recorder import launch_sender, process_outbox
from podium._recorder.launch_sender import SenderStarter
from podium._recorder.warnings import RecorderWarnings

from tests import zygote
from tests.client.recorder.looking import NOBODY, end_sender, told
from tests.client.sender.outboxes import until

CONFIG = podium.RunConfig("arm")


class Clock:
    """A clock that only sleep advances."""

    def __init__(self) -> None:
        self.time = time.time
        self._now = 0.0

    def monotonic(self) -> float:
        """Returns the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advances the clock."""
        self._now += seconds


def test_flush(record: Any, client: podium.Client, name: str) -> None:
    """After a flush that is `durable`, the server has everything that was logged."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        for step in range(100):
            arm.log_eval("val", {"n": step}, step=step)
        flushed = arm.flush(60)
        assert flushed == podium.Flushed(101, 0, 0, 0, synced=True)
        assert flushed.durable
        assert len(list(client.arm(name, "arm").evals())) == 100
        assert arm._stream._writer._synced == 101
        assert arm.counters == podium.Counters(delivered=101)
        assert experiment.flush(60).delivered == 102
        assert experiment.counters == podium.Counters(delivered=102)


def test_flush_without_a_server(record: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without a server, a flush waits for its whole timeout and counts the events as pending.

    The end of the block warns of them.
    """
    with record(name, address=NOBODY) as experiment, experiment.start_arm(CONFIG) as arm:
        logged = time.monotonic()
        arm.log({"loss": 1})
        begin = time.monotonic()
        assert not arm.flush(1.5).durable
        assert 1.4 <= time.monotonic() - begin < 60
        until(lambda: arm.flush(0.1) == podium.Flushed(0, 2, 0, 0, synced=True))
        until(lambda: arm.counters.lag_seconds > 1)
        assert arm.counters.lag_seconds <= time.monotonic() - logged
        assert arm.counters.pending == 2
        folder = experiment.outbox
        begin = time.monotonic()
    assert time.monotonic() - begin < 60
    (line,) = told(caplog)
    assert line == (
        f"podium: 4 events of '{name}' are not delivered yet (no Podium server answers at "
        f"{NOBODY}: start one with `podium serve`, or give the right address): they wait in "
        f"{folder}; "
        "`podium sync` delivers them"
    )
    end_sender(folder)


def test_flush_after_the_end(record: Any, name: str, tmp_path: Path) -> None:
    """A flush after the end of a block still counts the events of that block."""
    # In the shared outbox, the sender of another test could deliver these events.
    offline = partial(record, offline=True, outbox=tmp_path)
    with offline(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": 1})
    assert arm.flush(0) == podium.Flushed(0, 3, 0, 0, synced=True)
    assert experiment.flush(0) == podium.Flushed(0, 4, 0, 0, synced=True)
    assert experiment.counters.pending == 4
    experiment.arm("arm").log({"loss": 2})
    assert experiment.flush(0).pending == 5


@pytest.mark.slow
def test_a_sender_that_does_not_start(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the sender cannot be started, or ends immediately, a warning is logged."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with record(name, outbox=tmp_path / "frozen", close_timeout=0) as experiment:
        experiment.start_arm(CONFIG).log({"loss": 1})
        until(lambda: told(caplog))
    assert "is not running (no Python interpreter" in told(caplog)[0]
    monkeypatch.undo()
    caplog.clear()
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with record(name, outbox=tmp_path / "true", close_timeout=0) as experiment:
        experiment.start_arm(CONFIG).log({"loss": 1})
        until(lambda: told(caplog))
    assert "is not running (it ends immediately" in told(caplog)[0]
    assert "podium sync" in told(caplog)[0]


def test_offline(
    record: Any, client: podium.Client, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Offline, no sender starts, and `flush` does not wait.

    `podium sync` delivers the events later.
    """
    outbox = tmp_path / "outbox"
    begin = time.monotonic()
    with record(name, outbox=outbox, offline=True) as experiment:
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
            assert arm.flush(60) == podium.Flushed(0, 2, 0, 0, synced=True)
        folder = experiment.outbox
    assert time.monotonic() - begin < 60
    (line,) = told(caplog)
    assert line == (
        f"podium: 4 events of '{name}' are not delivered yet (this process records offline): they "
        f"wait in {folder}; `podium sync` delivers them"
    )
    assert not (folder / "sender.log").exists()
    command = [sys.executable, "-m", "podium", "sync", str(outbox)]
    zygote.run(command, check=True, timeout=240, capture_output=True)
    assert client.arm(name, "arm").score("loss") == 1.0


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("0", False), ("", False)])
def test_offline_by_the_environment(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    *,
    offline: bool,
) -> None:
    """PODIUM_OFFLINE=1 makes a recorder offline. The value 0 and an empty value do not."""
    monkeypatch.setenv("PODIUM_OFFLINE", value)
    with record(name, outbox=tmp_path / "outbox") as experiment:
        experiment.start_arm(CONFIG).finish()
        assert experiment.flush(60).durable is not offline


def test_rejected_events_are_counted_and_reported(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Permanently rejected events are counted, and a warning during training gives the reason."""
    with record(name) as experiment, experiment.start_arm(CONFIG, order=1) as old:
        old.log({"loss": 1})
        assert old.flush(60).durable
        with experiment.start_arm(CONFIG, order=2) as new:
            new.log({"loss": 2})
            assert new.flush(60).durable
        old.log({"loss": 3})
        old.log({"loss": 4})
        flushed = old.flush(60)
        assert (flushed.pending, flushed.rejected, flushed.durable) == (0, 2, False)
        assert old.counters.rejected == 2
        started, refused = told(caplog)
        assert "is started again" in started
        assert "STALE_ATTEMPT" in refused
        assert "podium outbox" in refused
    assert told(caplog)[2:] == [
        "podium: 3 events were rejected and stay in the outbox: see `podium outbox`"
    ]
    assert client.arm(name, "arm").score("loss") == 2.0


def test_values_that_are_not_stored(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A field of an experiment that keeps its stored value causes one warning for each recorder.

    The warning has the stored and the given value.

    With `overwrite`, the given value is stored without a warning.
    """
    stored = {"owner": "ana", "gpus": [8]}
    client.experiment(name).declare(
        success_metric="test.acc", direction="maximize", tags=["a"], metadata=stored
    )
    given = {"owner": "ben", "gpus": [8], "new": 1}
    for _ in range(2):
        with record(
            name, success_metric="test.loss", direction="minimize", tags=["b"], metadata=given
        ):
            pass
    start, end = f"podium: experiment {name!r} keeps its ", " was given and is not stored; record "
    assert [text.removeprefix(start).split(end)[0] for text in told(caplog)] == [
        "success_metric 'test.acc': 'test.loss'",
        "direction 'maximize': 'minimize'",
        "tags ['a']: ['b']",
        "metadata.owner 'ana': 'ben'",
    ] * 2
    assert client.experiment(name).get().metadata == {**stored, "new": 1}
    caplog.clear()
    with record(name, success_metric="test.loss", overwrite=True):
        pass
    assert told(caplog) == []
    assert client.experiment(name).get().success_metric == "test.loss"


def test_one_event(record: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The warning about a single undelivered event uses the singular."""
    with record(name, address=NOBODY, offline=True) as experiment:
        folder = experiment.outbox
    (line,) = told(caplog)
    assert line == (
        f"podium: 1 event of {name!r} is not delivered yet (this process records offline): it "
        f"waits in {folder}; `podium sync` delivers it"
    )


def test_a_second_run(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a completed arm is started again without `restart`, a warning says what to do."""
    for loss in (1, 2):
        with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": loss})
            arm.log({"loss": loss}, step=1)
            assert arm.flush(60).durable is (loss == 1)
    assert told(caplog) == [
        (
            f"podium: arm 'arm' of '{name}' is already completed, so its new events stay in the "
            "outbox. Use start_arm(…, restart=True) to replace its results, resume_step=… to "
            "continue from a step, or `podium outbox retry --as NAME` to keep both"
        ),
        "podium: 4 events were rejected and stay in the outbox: see `podium outbox`",
    ]
    assert client.arm(name, "arm").score("loss") == 1.0


def test_the_sender_is_started_with_the_first_event(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder starts a sender once its first stream exists, not before."""
    seen: list[int] = []

    def assure(_self: Any, folder: Path) -> None:
        seen.append(len(streams(folder)))

    monkeypatch.setattr(SenderStarter, "assure", assure)
    with record(name, outbox=tmp_path, close_timeout=0) as experiment:
        until(lambda: seen)
        assert seen[0] == 1
        experiment.start_arm(CONFIG)
        until(lambda: seen[-1] == 2)


def test_a_slow_start_of_a_sender_is_repeated_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the start of a sender took 10 s, the next start is 40 s later, to spare a busy machine."""
    clock, starts = Clock(), []

    def start(_outbox: Path) -> None:
        starts.append(clock.monotonic())
        clock.sleep(10)

    monkeypatch.setattr(launch_sender, "time", clock)
    monkeypatch.setattr(launch_sender, "start_sender", start)
    starter = SenderStarter(RecorderWarnings(is_strict=False))
    while len(starts) < 2:
        starter.assure(tmp_path)
        starter.wait()
        clock.sleep(1)
    assert starts == [0.0, 50.0]


@pytest.mark.parametrize("said", ["0.3", "soon"])
def test_close_timeout_by_the_environment(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    said: str,
) -> None:
    """PODIUM_CLOSE_TIMEOUT sets the close timeout. If it is not a number, a warning is logged."""
    monkeypatch.setenv("PODIUM_CLOSE_TIMEOUT", said)
    with record(name, outbox=tmp_path, offline=True, close_timeout=None) as experiment:
        assert experiment._settings.close_timeout == (0.3 if said == "0.3" else 60.0)
    assert any("PODIUM_CLOSE_TIMEOUT must be" in line for line in told(caplog)) is (said == "soon")


def test_the_end_waits_while_there_is_progress(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a block waits while delivery makes progress, at most for `close_timeout`."""
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 2.0)
    monkeypatch.setattr(process_outbox, "_PROGRESS_SECONDS", 2.0)
    clock = Clock()
    monkeypatch.setattr(process_outbox, "time", clock)
    seen: list[float] = []

    def slow(*_: Any) -> int:
        """Returns the number of pending events. Every half second it falls by one, to 90."""
        seen.append(clock.monotonic())
        return 100 - min(int((seen[-1] - seen[0]) * 2), 10)

    monkeypatch.setattr(process_outbox.ProcessOutbox, "_pending", slow)
    monkeypatch.setattr(process_outbox.ProcessOutbox, "_is_safe", lambda *_: False)
    with record(name, outbox=tmp_path, offline=True):
        pass
    assert 6.9 < seen[-1] - seen[0] < 7.1
    seen.clear()
    with record(name, outbox=tmp_path, offline=True, close_timeout=1):
        pass
    assert 0.9 < seen[-1] - seen[0] < 1.1


def test_the_end_waits_for_the_start_of_the_sender(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a block waits until its sender has started, even if the start is slow.

    The time limit for the sender's first delivery begins only then.
    """
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 0.5)
    monkeypatch.setattr(launch_sender, "_PACKAGES", _slow_to_import(tmp_path / "slow"))
    monkeypatch.setattr(launch_sender, "_run_process", subprocess.run)
    with record(name, outbox=tmp_path / "outbox") as experiment:
        experiment.start_arm(CONFIG).finish()
        folder = experiment.outbox
    assert launch_sender.is_delivering(folder)


def _slow_to_import(folder: Path) -> Path:
    """Returns a folder that makes the start of an interpreter take a second longer."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import time\ntime.sleep(1)\n")
    return folder


def test_an_evaluator_elsewhere(record: Any, client: podium.Client, name: str) -> None:
    """An evaluator can record for an arm that it did not start, even before the arm is started."""
    with record(name, close_timeout=0.2) as experiment:
        early = experiment.arm("arm")
        early.log_eval("bench", {"pass^3": 0.2})
        assert early.attempt_id is None
    with record(name) as experiment:
        with experiment.start_arm(CONFIG, attempt_id="a") as arm:
            arm.log({"loss": 1})
        part = experiment.arm("arm", attempt_id="a")
        part.log_eval("part", {"n": 1})
        assert part.flush(60).durable
    until(lambda: client.arm(name, "arm").eval("bench"))
    assert client.arm(name, "arm").score("bench.pass^3") == 0.2
    assert client.arm(name, "arm").get().status == "completed"


def test_many_threads(record: Any, client: podium.Client, name: str) -> None:
    """If threads share an arm, each row is stored once, and each thread's rows keep their order."""

    def log(number: int) -> None:
        for step in range(300):
            arm.log_eval(f"thread{number}", {"n": step}, step=step)

    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = client.arm(name, "arm").get()
    assert len(found.evals) == 2400
    for number in range(8):
        steps = [row.step for row in found.evals if row.name == f"thread{number}"]
        assert steps == list(range(300))
