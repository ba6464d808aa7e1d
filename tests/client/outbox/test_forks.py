"""Tests of processes that fork while they record: only the parent continues the stream."""

import os
import threading
from pathlib import Path

import pytest
from podium._outbox import StreamReader, StreamWriter, streams

from tests.client.outbox.places import all_of, info, new_outbox, new_writer

pytestmark = pytest.mark.slow


def _in_child(check: object) -> int:
    child = os.fork()
    if not child:
        try:
            assert callable(check)
            check()
        except BaseException:  # noqa: BLE001 - the child must end here
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_forgets_the_stream(tmp_path: Path) -> None:
    """A forked child cannot append to the stream or release its lock.

    It can begin its own stream.
    """
    outbox = new_outbox(tmp_path)
    writer = new_writer(outbox)
    writer.append(b"parent")

    def child() -> None:
        writer.abandon()
        with pytest.raises(ValueError, match="the stream is closed"):
            writer.append(b"child")
        writer.prepare()
        writer.sync()
        writer.release()
        assert StreamReader(writer.folder).writer_lives()
        own = new_writer(outbox)
        assert own.append(b"child") == 1
        own.release()

    assert _in_child(child) == 0
    assert writer.append(b"more") == 2
    reader = StreamReader(writer.folder)
    assert reader.writer_lives()
    assert all_of(reader) == [(1, b"parent"), (2, b"more")]
    (other,) = (folder for folder in streams(outbox) if folder != writer.folder)
    assert all_of(StreamReader(other)) == [(1, b"child")]


def test_forks_under_load(tmp_path: Path) -> None:
    """A child that is forked while another thread appends neither hangs nor changes the stream."""
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=16 * 1024)
    stop = threading.Event()
    appended: list[int] = []

    def append() -> None:
        while not stop.is_set():
            if writer.needs_room:
                writer.prepare()
            appended.append(writer.append(b"x" * 100))
            if len(appended) % 50 == 0:
                writer.sync()

    thread = threading.Thread(target=append)
    thread.start()

    def child() -> None:
        writer.abandon()
        writer.sync()
        writer.release()

    codes = {_in_child(child) for _ in range(50)}
    stop.set()
    thread.join()
    assert codes == {0}
    found = [entry[0] for entry in all_of(StreamReader(writer.folder))]
    assert found == appended == list(range(1, len(appended) + 1))
