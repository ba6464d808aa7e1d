"""Tests of appends with threads, signals and exceptions: no record is lost or doubled."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import copytree
from types import FrameType

import pytest
from podium._outbox import OutboxFullError, StreamReader, StreamWriter
from podium._outbox.segments import Memory

from tests.client.outbox.places import all_of, info, new_outbox


def _writer(root: Path) -> StreamWriter:
    return StreamWriter.create(new_outbox(root), info(), segment_bytes=16 * 1024)


def _append(writer: StreamWriter, payload: bytes, *, prepare: bool = True) -> int:
    while True:
        try:
            return writer.append(payload)
        except OutboxFullError:
            if prepare:
                writer.prepare()


@contextmanager
def _upkeep(writer: StreamWriter) -> Iterator[None]:
    """Prepares and syncs the stream in a thread of its own while the block runs."""
    done = threading.Event()

    def upkeep() -> None:
        while not done.wait(0.000_5):
            writer.prepare()
            writer.sync()

    thread = threading.Thread(target=upkeep)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_threads_append_side_by_side(tmp_path: Path) -> None:
    """Each record of each thread exists once, under the sequence that `append` returned."""
    writer, told = _writer(tmp_path), list[tuple[int, bytes]]()

    def append(name: int) -> None:
        for number in range(1_000):
            payload = b"%d/%d" % (name, number) * 5
            told.append((_append(writer, payload), payload))

    threads = [threading.Thread(target=append, args=(name,)) for name in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.000_001)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert all_of(StreamReader(writer.folder)) == sorted(told)
    assert [sequence for sequence, _ in sorted(told)] == list(range(1, 4_001))


class _InterruptedError(Exception):
    """Raised by the signal handler of a test."""


@contextmanager
def _alarm(handler: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Yields a function that sets an alarm, which calls `handler` at a random moment soon after."""
    random = Random(5)  # noqa: S311 - no secret

    def handle(_number: int, _frame: FrameType | None) -> None:
        handler()

    def set_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000_02, 0.000_2))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        yield set_alarm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.timeout(method="thread")  # SIGALRM is used by the test itself
@pytest.mark.slow
def test_exceptions_of_signal_handlers_leave_no_trace(tmp_path: Path) -> None:
    """If a signal handler raises an error during `append`, the whole record is appended or nothing.

    The next records follow without a gap.
    """
    writer, told, seen = _writer(tmp_path), dict[int, bytes](), list[tuple[int, bytes]]()
    reader = StreamReader(writer.folder)

    def interrupt() -> None:
        raise _InterruptedError

    with _upkeep(writer), _alarm(interrupt) as set_alarm:
        for turn in range(1_500):
            payload = b"%d" % (3 * turn)
            try:
                set_alarm()
                while True:
                    told[_append(writer, payload, prepare=False)] = payload
            except _InterruptedError:
                # A record that was read once must not change later.
                seen += reader.read(seen[-1][0] if seen else 0)
    assert [sequence for sequence, _ in seen] == list(range(1, len(seen) + 1))
    assert all_of(StreamReader(writer.folder)) == seen
    assert {sequence: payload for sequence, payload in seen if sequence in told} == told
    assert 0 < len(seen) - len(told) <= 1_500


@pytest.mark.timeout(method="thread")  # as above
def test_a_signal_handler_may_try_to_append(tmp_path: Path) -> None:
    """If a signal handler appends during an append of its own thread, it gets OutboxFullError."""
    writer, told, refused = _writer(tmp_path), list[tuple[int, bytes]](), 0

    def log() -> None:
        nonlocal refused
        try:
            told.append((writer.append(b"handler"), b"handler"))
        except OutboxFullError:
            refused += 1
        set_alarm()

    with _alarm(log) as set_alarm:
        set_alarm()
        while refused < 100 or len(told) < 1_000:
            told.append((_append(writer, b"loop"), b"loop"))
    assert all_of(StreamReader(writer.folder)) == sorted(told)
    assert [sequence for sequence, _ in sorted(told)] == list(range(1, len(told) + 1))


class _DyingMemory:
    """The memory of a segment. It raises an error after `stores` writes, as if the process died."""

    def __init__(self, memory: Memory, stores: int) -> None:
        self._memory = memory
        self._stores = stores

    def __getitem__(self, place: slice) -> bytes:
        return self._memory[place]

    def __setitem__(self, place: slice, content: bytes) -> None:
        if not self._stores:
            raise _InterruptedError
        self._stores -= 1
        self._memory[place] = content

    def close(self) -> None:
        """Does nothing. Only the process that made the stream closes the memory."""


def test_a_record_is_whole_or_not_there(tmp_path: Path) -> None:
    """If a process dies between the writes of an append, no part of the record is read."""
    for stores in range(2):
        writer = _writer(tmp_path)
        writer.append(b"first")
        segment = writer._place.segment
        memory, segment.bytes = segment.bytes, _DyingMemory(segment.bytes, stores)
        with pytest.raises(_InterruptedError):
            writer.append(b"second")
        segment.bytes = memory
        reader = StreamReader(copytree(writer.folder, tmp_path / f"dead{stores}"))
        assert all_of(reader) == [(1, b"first")]
        reader.note_delivered(1)
        reader._drop(1, delivered=1)
        assert reader.torn() == []
