"""Tests of a recorder's stream whose disk is full or slow, or whose folder is deleted."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._outbox import OutboxFullError, Progress
from podium._recorder import stream as streams
from podium._recorder.stream import Stream, StreamEndedError
from podium._recorder.warnings import RecorderWarnings
from podium.errors import RecordingError

_TOO_LARGE = b"x" * 101


class _Writer:
    """A stream's file that is only in memory."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.events: list[bytes] = []
        self.has_room, self.fails = True, False
        self.is_interrupted = self.needs_room = self.is_closed = False
        self.abandons = self.releases = 0
        self.delivered = 0

    @property
    def last_sequence(self) -> int:
        """The number of events in the file."""
        return len(self.events)

    def append(self, payload: bytes) -> None:
        """Appends an event."""
        if self.is_closed or payload == _TOO_LARGE:
            raise ValueError("it is too large")
        if not self.has_room:
            raise OutboxFullError
        self.events.append(payload)

    def prepare(self) -> None:
        """Makes room for events, or fails like a full disk."""
        if self.fails:
            raise OSError("full")
        self.has_room = True

    def progress(self) -> Progress:
        """Returns how many events are delivered."""
        return Progress(self.delivered, 0)

    def close(self) -> None:
        """Closes the file."""
        self.is_closed = True

    def release(self) -> None:
        """Counts the calls."""
        self.releases += 1

    def abandon(self) -> None:
        """Counts the calls."""
        self.abandons += 1


class _Disk:
    """Makes the files of a stream. Does the work of the upkeep thread whenever a call sleeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.writers: list[_Writer] = []
        self.wakes = self.sleeps = 0
        self.now = 100.0
        self.stream = self.new()

    def new(self, **given: Any) -> Stream:
        """Creates a stream. From now on, `sleep` does the upkeep of this stream."""
        begin: Any = self._begin
        self.stream = Stream(begin, self._wake, RecorderWarnings(is_strict=False), **given)
        return self.stream

    def _begin(self, _stream: Stream) -> _Writer:
        self.writers.append(_Writer(self._folder / str(len(self.writers))))
        return self.writers[-1]

    def _wake(self) -> None:
        self.wakes += 1

    def sleep(self, _seconds: float) -> None:
        """Does the work of the upkeep thread once."""
        self.sleeps += 1
        assert self.sleeps < 50, "a call waits for ever"
        with contextlib.suppress(OSError):
            self.stream.upkeep()

    def fill(self, *, fails: bool) -> _Writer:
        """Fills the newest file, and returns it. If the disk `fails`, the file stays full."""
        self.writers[-1].has_room, self.writers[-1].fails = False, fails
        return self.writers[-1]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Disk:
    """Returns a disk with an open stream."""
    disk = _Disk(tmp_path)
    monkeypatch.setattr(
        streams, "time", SimpleNamespace(sleep=disk.sleep, monotonic=lambda: disk.now)
    )
    disk.stream.upkeep()
    return disk


def test_events_that_wait_are_written_first(disk: _Disk) -> None:
    """While events wait in memory, a new event waits behind them, even if the file has room."""
    stream, writer = disk.stream, disk.fill(fails=True)
    stream.put(b"1")
    writer.has_room = True
    stream.put(b"2")
    assert (writer.events, stream.in_memory, stream.last) == ([], 2, 2)
    writer.fails = False
    stream.put(b"3")
    stream.upkeep()
    assert (writer.events, stream.in_memory, stream.last) == ([b"1", b"2", b"3"], 0, 3)


def test_a_call_waits_for_a_slow_disk_once(disk: _Disk) -> None:
    """`put` waits for room in the file. After a disk error, further calls do not wait.

    When the disk works again, `put` waits again.
    """
    stream, writer = disk.stream, disk.fill(fails=False)
    stream.put(b"1")
    assert (disk.sleeps, stream.in_memory) == (1, 0)
    writer = disk.fill(fails=True)
    for number in range(2, 5):
        stream.put(b"%d" % number)
    assert (disk.sleeps, stream.in_memory) == (2, 3)
    writer.fails = False
    stream.upkeep()
    disk.fill(fails=False)
    stream.put(b"5")
    assert (disk.sleeps, writer.events) == (3, [b"1", b"2", b"3", b"4", b"5"])


def test_a_signal_handler_does_not_wait(disk: _Disk) -> None:
    """`put` does not wait for room if a signal handler calls it during an append.

    The interrupted append makes room only after the handler returns.
    """
    writer = disk.fill(fails=False)
    writer.is_interrupted = True
    disk.stream.put(b"1")
    assert (disk.sleeps, disk.stream.in_memory) == (0, 1)


def test_the_memory_of_a_stream_is_bounded(disk: _Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events wait in memory up to a limit. A further event is dropped unless it is `needed`.

    Once the events are on the disk, the memory can be used again.
    """
    monkeypatch.setattr(streams, "MEMORY_BYTES", 10)
    stream = disk.stream
    for turn in range(1, 4):
        writer = disk.fill(fails=True)
        stream.put(b"12345")
        stream.put(b"67890")
        with pytest.raises(RecordingError, match="the memory for waiting events is full"):
            stream.put(b"x")
        stream.put(b"the end", needed=True)
        assert (stream.in_memory, stream.counters.dropped) == (3, turn)
        writer.fails = False
        stream.upkeep()
    assert disk.writers[0].events == [b"12345", b"67890", b"the end"] * 3


def test_the_memory_of_a_whole_arm_counts(disk: _Disk) -> None:
    """A whole arm counts towards the memory of its stream until it is on the disk."""
    stream = disk.new(whole_arm=[b"12345", b"67890"])
    assert (stream.in_memory, stream._memory, stream.is_over) == (2, 10, False)
    stream.upkeep()
    assert (stream.in_memory, stream._memory, stream.is_over) == (0, 0, True)
    assert disk.writers[1].is_closed


def test_an_event_that_is_too_large(disk: _Disk, caplog: pytest.LogCaptureFixture) -> None:
    """An event that is too large is dropped, and the other events are written.

    `put` raises an error. If the event waits in memory first, a warning is logged instead.
    """
    stream = disk.stream
    with pytest.raises(RecordingError, match="an event was dropped: it is too large"):
        stream.put(_TOO_LARGE)
    writer = disk.fill(fails=True)
    for payload in (b"1", _TOO_LARGE, b"2"):
        stream.put(payload)
    writer.fails = False
    stream.upkeep()
    assert (writer.events, stream.counters.dropped, stream.in_memory) == ([b"1", b"2"], 2, 0)
    assert "an event was dropped: it is too large" in caplog.text


def test_a_stream_ends_after_the_events_in_memory(disk: _Disk) -> None:
    """An ended stream accepts further events while events wait in memory.

    When all of them are written, the stream is over and accepts no more.
    """
    stream, writer = disk.stream, disk.fill(fails=True)
    stream.put(b"1")
    stream.end_soon()
    stream.put(b"2")
    assert (stream.is_over, writer.is_closed, stream.last) == (False, False, 2)
    writer.fails = False
    stream.upkeep()
    assert (stream.is_over, writer.is_closed, writer.events) == (True, True, [b"1", b"2"])
    for is_closed in (True, False):
        writer.is_closed, writer.has_room = is_closed, False
        with pytest.raises(StreamEndedError):
            stream.put(b"3")
    assert (stream.in_memory, stream.counters.dropped) == (0, 0)


def test_a_stream_whose_folder_is_deleted(disk: _Disk, caplog: pytest.LogCaptureFixture) -> None:
    """If a user deletes the folder of a stream, the stream continues in a new folder.

    The new folder begins with the first event again, and the old files are closed.
    """
    stream, writer = disk.stream, disk.writers[0]
    stream.replay = b"start"
    for payload in (b"start", b"1", b"2"):
        stream.put(payload)
    writer.delivered = 1
    stream.look()
    writer.folder.rmdir()
    stream.look()
    assert (writer.abandons, stream.folder, stream.in_memory) == (1, None, 1)
    assert (stream.counters.dropped, stream.counters.pending) == (2, 1)
    stream.put(b"3")
    assert disk.writers[1].events == [b"start", b"3"]
    stream.look()
    assert (stream.counters.dropped, stream.counters.pending) == (2, 2)
    assert "2 undelivered events in it are lost" in caplog.text


def test_a_stream_that_the_sender_has_deleted(
    disk: _Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """If the folder of a stream is deleted after its release, the stream counts as delivered.

    The sender deletes a released stream once it is delivered. Nothing more is written, and no
    warning is logged.
    """
    stream, writer = disk.stream, disk.writers[0]
    stream.put(b"1")
    for _ in range(2):
        stream.release()
    stream.look()
    assert (stream.counters.pending, stream.is_over, writer.releases) == (1, True, 1)
    writer.folder.rmdir()
    stream.look()
    stream.upkeep()
    assert (stream.counters.pending, stream.counters.delivered) == (0, 1)
    assert (len(disk.writers), caplog.text) == (1, "")


def test_the_lag_of_a_stream(disk: _Disk) -> None:
    """The lag of a stream is the time since its oldest pending event was first seen.

    If no event is pending, the lag is 0.
    """
    stream, writer = disk.stream, disk.writers[0]
    lags = []
    for delivered in (0, 0, 1, 1, 3, 4):
        disk.now += 10.0
        stream.put(b"event")
        writer.delivered = delivered
        stream.look()
        lags.append(stream.counters.lag_seconds)
    assert lags == [0.0, 10.0, 10.0, 20.0, 10.0, 10.0]
    for delivered, marks in ((4, 2), (4, 2), (6, 0), (6, 0)):
        writer.delivered = delivered
        stream.look()
        assert len(stream._marks) == marks
    assert stream.counters.lag_seconds == 0.0


def test_when_a_stream_gets_its_file(disk: _Disk) -> None:
    """A stream gets its file only after the stream that it `follows` is over.

    The stream also waits until the one in `starts_after` has a file or is released.
    """
    follows, starts_after = disk.new(), disk.new()
    stream = disk.new(follows=follows, starts_after=starts_after)
    steps: list[Any] = [
        lambda: None,
        starts_after.upkeep,
        follows.upkeep,
        follows.end_soon,
        follows.upkeep,
    ]
    folders = []
    for step in steps:
        step()
        stream.upkeep()
        folders.append(stream.folder is not None)
    assert folders == [False, False, False, False, True]
    assert (stream.follows, stream.starts_after) == (None, None)
    for is_released in (False, True):
        before = disk.new()
        if is_released:
            before.release()
        waiting = disk.new(starts_after=before)
        waiting.upkeep()
        assert (waiting.folder is not None) is is_released
