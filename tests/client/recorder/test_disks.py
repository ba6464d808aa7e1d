"""Tests of outboxes on disks that hang, are full or lose data, and of open files and memory."""

import errno
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import OutboxFullError, StreamReader, StreamWriter, streams
from podium._recorder import process_outbox, stream

from tests import zygote
from tests.client.recorder.looking import NOBODY, end_sender, open_files, told
from tests.client.sender.outboxes import sender_of, until, vanish
from tests.sparse import sparse

CONFIG = podium.RunConfig("arm")


@pytest.fixture(autouse=True)
def patient() -> None:
    """Overrides the fixture in conftest.py: the recorder warns of a slow disk after one second."""


@pytest.mark.slow
def test_many_arms(record: Any, client: podium.Client, name: str) -> None:
    """After 400 arms in one process, few files are open, and the server has every arm."""
    with record(name) as experiment:
        experiment.start_arm(CONFIG, name="first").finish()
        before = open_files()
        for number in range(200):
            with experiment.start_arm(CONFIG, name=f"arm{number:03}") as arm:
                arm.log({"loss": number})
            experiment.record_arm(podium.ArmResult(f"whole{number:03}", CONFIG, "failed"))
        assert open_files() < before + 100
        assert experiment.flush(60).durable
        assert experiment.counters.delivered == 2 + 1 + 200 * 3 + 200
    counts = client.experiment(name).get().arm_counts
    assert (counts.completed, counts.failed) == (201, 200)
    assert client.arm(name, "arm137").score("loss") == 137.0


@pytest.mark.slow
def test_many_arms_that_wait(record: Any, name: str, tmp_path: Path) -> None:
    """Arms that end while no sender runs do not keep their files open."""
    with record(name, outbox=tmp_path / "outbox", offline=True) as experiment:
        before = open_files()
        for number in range(150):
            experiment.start_arm(CONFIG, name=f"arm{number}").__exit__(None, None, None)
        assert open_files() < before + 100
        assert experiment.counters.pending == 1 + 150 * 2


def test_many_arms_on_a_full_disk(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a disk is full, the events of 80 arms wait in memory. Later all are written."""
    has_room, create = threading.Event(), StreamWriter.create

    def created(*arguments: Any, **named: Any) -> StreamWriter:
        if not has_room.is_set():
            raise OSError(errno.ENOSPC, "no room")
        return create(*arguments, **named)

    monkeypatch.setattr(StreamWriter, "create", created)
    monkeypatch.setattr(stream, "_ROOM_SECONDS", 0.0)
    outbox = tmp_path / "outbox"
    with record(name, outbox=outbox, offline=True) as experiment:
        for number in range(80):
            experiment.record_arm(podium.ArmResult(f"arm{number:02}", CONFIG, "completed"))
        has_room.set()
    assert (experiment.counters.pending, experiment.counters.dropped) == (81, 0)
    [server] = outbox.glob("*/*")
    recorded = {StreamReader(folder).info.arm for folder in streams(server)}
    assert recorded == {None, *(f"arm{number:02}" for number in range(80))}


@pytest.mark.slow
def test_a_disk_that_hangs(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If the disk hangs, training continues with one warning. Later all events are delivered."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": 0})
        # A thread holds this lock while it uses the disk. If the disk hangs, it never releases it.
        writer = arm._stream._writer
        with writer._upkeep:
            begin = time.monotonic()
            for step in range(30_000):
                arm.log_eval("val", {"n": step}, step=step)
            assert time.monotonic() - begin < 120
            assert arm._stream.in_memory > 0
            assert len(told(caplog)) == 1
            assert "the disk of the outbox is slow or hangs" in told(caplog)[0]
            # There is room again before the waiting events are written. No event may overtake them.
            writer._spares.append(writer._make(1 << 20))
            arm.log_eval("val", {"n": 30_000}, step=30_000)
        assert experiment.flush(60).durable
    found = client.arm(name, "arm").get()
    assert [row.step for row in found.evals] == list(range(30_001))


def test_a_slow_disk_is_no_error_if_strict(
    record: Any, client: podium.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strict, `start_arm` waits for a slow disk, and no event is lost."""
    create = StreamWriter.create

    def slow(*arguments: Any, **options: Any) -> StreamWriter:
        time.sleep(1.5)
        return create(*arguments, **options)

    with record(name, strict=True) as experiment:
        monkeypatch.setattr(StreamWriter, "create", slow)
        with experiment.start_arm(CONFIG) as arm:
            arm.log({"loss": 1})
    assert client.arm(name, "arm").score("loss") == 1.0


def test_a_disk_that_hangs_is_an_error_if_strict(
    record: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strict, `start_arm` raises RecordingError if the disk hangs."""
    monkeypatch.setattr(process_outbox, "_SLOW_SECONDS", 0.1)
    with record(name, strict=True) as experiment:
        create, goes_on = StreamWriter.create, threading.Event()

        def hangs(*arguments: Any, **options: Any) -> StreamWriter:
            goes_on.wait(120)
            return create(*arguments, **options)

        monkeypatch.setattr(StreamWriter, "create", hangs)
        with pytest.raises(podium.RecordingError, match="cannot be written to: its disk hangs"):
            experiment.start_arm(CONFIG)
        goes_on.set()


@pytest.mark.parametrize("has_room_again", sparse([False, True]))
def test_events_in_memory_at_the_end(
    record: Any,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_room_again: bool,
) -> None:
    """If events wait in memory, closing a recorder waits for room on the disk up to a time limit.

    Events that have no room by then are dropped.
    """
    monkeypatch.setattr(process_outbox, "_DISK_SECONDS", 0.1)
    monkeypatch.setattr(stream, "_ROOM_SECONDS", 0.1)
    with record(name, outbox=tmp_path / "outbox", offline=True) as experiment:
        arm = experiment.start_arm(CONFIG)
        until(lambda: arm._stream.folder)
        append = StreamWriter.append
        monkeypatch.setattr(StreamWriter, "append", _has_no_room)
        for loss in range(3):
            arm.log({"loss": loss})
        if has_room_again:
            threading.Timer(1, setattr, (StreamWriter, "append", append)).start()
        counters = experiment._process_outbox.close(60 if has_room_again else 0.1)
        monkeypatch.setattr(StreamWriter, "append", append)
    # The declaration and the start were already on the disk.
    assert (counters.pending, counters.dropped) == ((5, 0) if has_room_again else (2, 3))


def _has_no_room(_writer: StreamWriter, _payload: bytes) -> int:
    raise OutboxFullError


@pytest.mark.slow
def test_the_end_waits_for_room(
    record: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even without a server, the end of a block waits until the events in memory are on disk."""
    monkeypatch.setattr(process_outbox, "_DISK_SECONDS", 0.2)
    with (
        record(name, address=NOBODY, outbox=tmp_path / "outbox") as experiment,
        experiment.start_arm(CONFIG) as arm,
    ):
        assert not arm.flush(2).durable
        arm._stream._writer._upkeep.acquire()
        for step in range(12_000):
            arm.log_eval("val", {"n": step}, step=step)
        assert arm._stream.in_memory > 0
        folder = arm._stream.folder
        threading.Timer(1, arm._stream._writer._upkeep.release).start()
    assert StreamReader(folder).last_sequence() == 12_002
    end_sender(folder.parent)


@pytest.mark.slow
def test_a_full_memory(
    record: Any,
    client: podium.Client,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the memory for events is full, new events are dropped and counted.

    The end of the arm is always kept.
    """
    monkeypatch.setattr(stream, "MEMORY_BYTES", 100_000)
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        with arm._stream._writer._upkeep:
            for step in range(20_000):
                arm.log_eval("val", {"n": step}, step=step)
            arm.finish(train_seconds=5)
        dropped = arm.counters.dropped
        assert 1_000 < dropped < 20_000
        assert experiment.flush(60) == podium.Flushed(20_003 - dropped, 0, 0, dropped, synced=True)
    assert "an event was dropped" in told(caplog)[1]
    assert f"podium: {dropped} events are lost" in told(caplog)
    found = client.arm(name, "arm").get()
    assert [row.step for row in found.evals] == list(range(20_000 - dropped))
    assert found.train_seconds == 5.0


@pytest.mark.slow
def test_memory_is_free_again(
    record: Any, client: podium.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events leave the memory once they are written. So there is room when the disk hangs again."""
    monkeypatch.setattr(stream, "MEMORY_BYTES", 400_000)
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        for turn in range(3):
            with arm._stream._writer._upkeep:
                while arm._stream.in_memory < 1_500:
                    arm.log_eval("val", {"n": turn}, step=arm._stream.last)
            until(lambda: arm._stream.in_memory == 0)
        assert arm.flush(60).dropped == 0
        last = arm._stream.last
    assert len(list(client.arm(name, "arm").evals())) == last - 1


@pytest.mark.slow
def test_a_full_memory_is_an_error_if_strict(
    record: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strict, a call whose event would be dropped raises RecordingError."""
    monkeypatch.setattr(stream, "MEMORY_BYTES", 1_000)

    def log() -> None:
        for step in range(20_000):
            arm.log_eval("val", {"n": step}, step=step)

    with record(name, strict=True) as experiment, experiment.start_arm(CONFIG) as arm:
        assert arm.flush(60).durable
        with arm._stream._writer._upkeep, pytest.raises(podium.RecordingError, match="dropped"):
            log()


@pytest.mark.slow
def test_a_deleted_outbox(
    record: Any,
    client: podium.Client,
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If the outbox is deleted, recording continues in a new one, and the loss is reported."""
    with record(name, outbox=tmp_path / "outbox", offline=True) as experiment:
        arm = experiment.start_arm(CONFIG)
        arm.log({"lost": 1})
        until(lambda: arm.counters.lag_seconds > 0)
        vanish(tmp_path / "outbox")
        vanished = time.monotonic()
        arm.log({"between": 1})
        until(lambda: arm.counters.dropped >= 2)
        until(lambda: arm.counters.lag_seconds <= time.monotonic() - vanished)
        arm.log({"after": 1})
    # A warning of a failed sync may come before this one.
    assert any("was deleted, and" in text for text in told(caplog))
    command = [sys.executable, "-m", "podium", "sync", str(tmp_path / "outbox")]
    zygote.run(command, check=True, timeout=120, capture_output=True)
    assert client.arm(name, "arm").score("after") == 1.0


def test_nobody_else_can_read_it(record: Any, name: str, tmp_path: Path) -> None:
    """The folders of an outbox have the mode 0700 and its files 0600, whatever the umask."""
    old = os.umask(0)
    try:
        outbox = tmp_path / "outbox"
        with record(name, address=NOBODY, outbox=outbox, close_timeout=0) as experiment:
            experiment.start_arm(CONFIG).log({"loss": 1})
            folder = experiment.outbox
            until(lambda: sender_of(folder))
        end_sender(folder)
        until(lambda: not sender_of(folder))
    finally:
        os.umask(old)
    places = [tmp_path / "outbox", *(tmp_path / "outbox").rglob("*")]
    assert any(place.name == "sender.log" for place in places)
    for place in places:
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600), place
