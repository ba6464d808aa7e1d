"""Many threads append, signals come in between, exceptions fly: nothing is lost or doubled."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from types import FrameType

from podium._outbox import OutboxFullError, StreamReader, StreamWriter

from tests.outbox.places import all_of, info, new_outbox


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
    """Does the upkeep in a thread of its own."""
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
    """Each record of each thread is there once, under the sequence that it was told."""
    writer, told = _writer(tmp_path), dict[int, bytes]()

    def append(name: int) -> None:
        for number in range(1_000):
            payload = b"%d/%d" % (name, number) * 5
            told[_append(writer, payload)] = payload

    threads = [threading.Thread(target=append, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all_of(StreamReader(writer.folder)) == sorted(told.items())
    assert sorted(told) == list(range(1, 4_001))


class _InterruptedError(Exception):
    """What the signal handler of a test raises."""


@contextmanager
def _signals(handler: object) -> Iterator[None]:
    """Calls a handler at random moments of the block."""
    random = Random(5)  # noqa: S311 - no secret

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000_02, 0.000_3))
        assert callable(handler)
        handler()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_exceptions_of_signal_handlers_leave_no_trace(tmp_path: Path) -> None:
    """An append that Ctrl-C ends has appended its record or not; the next ones go on behind it."""
    writer, told, interrupted = _writer(tmp_path), dict[int, bytes](), 0

    def interrupt() -> None:
        raise _InterruptedError

    with _upkeep(writer), suppress(_InterruptedError), _signals(interrupt):
        while interrupted < 2_000 or len(told) < 3_000:
            payload = b"%d" % (3 * interrupted)
            try:
                while True:
                    told[_append(writer, payload, prepare=False)] = payload
            except _InterruptedError:
                interrupted += 1
    found = all_of(StreamReader(writer.folder))
    assert [sequence for sequence, _ in found] == list(range(1, len(found) + 1))
    assert {sequence: payload for sequence, payload in found if sequence in told} == told
    assert len(found) - len(told) <= interrupted


def test_a_signal_handler_may_try_to_append(tmp_path: Path) -> None:
    """A handler that logs while its thread appends is told that there is no room now, no more."""
    writer, told, refused = _writer(tmp_path), dict[int, bytes](), 0

    def log() -> None:
        nonlocal refused
        try:
            told[writer.append(b"handler")] = b"handler"
        except OutboxFullError:
            refused += 1

    with _signals(log):
        while refused < 100 or len(told) < 1_000:
            told[_append(writer, b"loop")] = b"loop"
    assert all_of(StreamReader(writer.folder)) == sorted(told.items())
    assert sorted(told) == list(range(1, len(told) + 1))
