"""Tests of the locks of writers and senders, which end with their process."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from podium._outbox import UNREACHABLE, SenderLock, SenderState, StreamReader
from podium.cli import _withdrawing
from podium.cli._exits import CommandError

from tests.client.outbox.places import all_of, new_outbox, new_writer

_HOLD = """
import sys, time
from pathlib import Path
from podium._outbox import SenderLock
lock = SenderLock(Path(sys.argv[1]))
print(lock.try_acquire(), flush=True)
time.sleep(60)
"""


def test_one_sender_at_a_time(tmp_path: Path) -> None:
    """While one process holds the sender lock, no other can acquire it.

    A kill releases the lock.
    """
    outbox = new_outbox(tmp_path)
    command = (sys.executable, "-c", _HOLD, str(outbox))
    assert not SenderLock(outbox).is_held()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert SenderLock(outbox).is_held()
        assert not SenderLock(outbox).try_acquire()
        assert SenderLock(outbox).is_held_by(process.pid)
        assert not SenderLock(outbox).is_held_by(os.getppid())
        process.send_signal(signal.SIGKILL)
    lock = SenderLock(outbox)
    assert not lock.is_held()
    assert not lock.is_held_by(process.pid)
    assert lock.try_acquire()
    lock.release()
    assert not SenderLock(outbox).is_held()


def test_a_check_of_a_lock_does_not_release_it(tmp_path: Path) -> None:
    """A process keeps its lock when it asks whether the lock is held, or tries to acquire it."""
    outbox = new_outbox(tmp_path)
    lock = SenderLock(outbox)
    assert lock.try_acquire()
    assert SenderLock(outbox).is_held()
    assert not SenderLock(outbox).try_acquire()
    assert not SenderLock(outbox).is_held_by(os.getpid())
    assert _is_held_for_others(outbox)
    lock.release()
    assert not _is_held_for_others(outbox)


def _is_held_for_others(outbox: Path) -> bool:
    code = (
        "import sys; from pathlib import Path; from podium._outbox import SenderLock; "
        "print(SenderLock(Path(sys.argv[1])).is_held())"
    )
    command = (sys.executable, "-c", code, str(outbox))
    return subprocess.run(command, check=True, capture_output=True).stdout == b"True\n"


def test_a_stream_that_is_copied_by_its_own_process_lives_on(tmp_path: Path) -> None:
    """A process that copies its own stream loses the lock.

    Its next sync acquires the lock again.
    """
    writer = new_writer(new_outbox(tmp_path))
    writer.append(b"first")
    shutil.copytree(writer.folder, tmp_path / "copy")
    assert not _lives_for_others(writer.folder)
    writer.append(b"second")
    writer.sync()
    assert _lives_for_others(writer.folder)
    assert not StreamReader(tmp_path / "copy").writer_lives()


def _lives_for_others(folder: Path) -> bool:
    child = os.fork()
    if not child:
        os._exit(StreamReader(folder).writer_lives())
    return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_a_live_stream_is_not_removed(tmp_path: Path) -> None:
    """`remove` does nothing while a process still writes the stream."""
    writer = new_writer(new_outbox(tmp_path))
    writer.append(b"first")
    reader = StreamReader(writer.folder)
    assert not reader.remove()
    assert all_of(reader) == [(1, b"first")]
    assert writer.append(b"second") == 2


def test_a_process_with_the_id_of_an_earlier_sender_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command stops only a process that holds the sender lock.

    The process ID in an old status may belong to another process.
    """
    outbox = new_outbox(tmp_path)
    monkeypatch.setattr(_withdrawing, "_STOP_SECONDS", 0.5)
    monkeypatch.setattr(_withdrawing, "is_own", lambda _outbox: True)
    commands = ((sys.executable, "-c", _HOLD, str(outbox)), ("sleep", "60"))
    holder, other = (subprocess.Popen(each, stdout=subprocess.PIPE) for each in commands)
    with holder, other:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        SenderState(other.pid, "localhost:1", UNREACHABLE).write(outbox)
        with pytest.raises(CommandError, match="stop it, then try again"):
            _withdrawing.acquire_lock(SenderLock(outbox), outbox)
        assert (holder.poll(), other.poll()) == (None, None)
        SenderState(holder.pid, "localhost:1", UNREACHABLE).write(outbox)
        lock = SenderLock(outbox)
        assert _withdrawing.acquire_lock(lock, outbox)
        lock.release()
        assert holder.wait(60) == -signal.SIGTERM
        other.kill()
