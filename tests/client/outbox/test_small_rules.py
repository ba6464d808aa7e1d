"""Tests of rare cases of the outbox: interrupts, broken descriptions, and odd file systems."""

import errno
import fcntl
import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from podium._outbox import SenderLock, StreamInfo, StreamReader, folders
from podium._outbox.errors import DamagedError
from podium._outbox.files import write_json
from podium._outbox.folders import default_root, is_own, outbox_address
from podium._outbox.notices import append_notice, read_notices

from tests.client.outbox.places import ADDRESS, all_of, new_outbox, new_writer


@pytest.mark.parametrize("size", [1, 1_500])
def test_an_append_that_was_interrupted(tmp_path: Path, size: int) -> None:
    """If Ctrl-C interrupts `append` after the event was written but not counted, the event is kept.

    The next event is written after it.
    """
    writer = new_writer(new_outbox(tmp_path))
    payloads = [bytes([number]) * size for number in range(1, 7)]
    for payload in payloads[::2]:
        writer.prepare()
        assert writer.append(payload) is not None
        before = writer._place
        writer.prepare()
        writer.append(payloads[payloads.index(payload) + 1])
        if writer._place.segment is before.segment:
            writer._place = before
    assert all_of(StreamReader(writer.folder)) == list(enumerate(payloads, 1))
    writer.release()


@pytest.mark.parametrize("missing", ["experiment", "writer_id"])
def test_a_description_that_lacks_something(tmp_path: Path, missing: str) -> None:
    """A stream's description that lacks a field is damaged. An unknown field in it is ignored."""
    writer = new_writer(new_outbox(tmp_path))
    writer.release()
    path = writer.folder / folders._STREAM_FILE
    content = json.loads(path.read_text())
    del content["crc32"]
    write_json(path, content | {"newer": 1})
    info = StreamInfo.read(writer.folder)
    assert (info.experiment, info.arm) == ("rank_sweep", "lora_rank4")
    write_json(path, {name: content[name] for name in content if name != missing})
    with pytest.raises(DamagedError, match=f"is incomplete: .*'{missing}'"):
        StreamInfo.read(writer.folder)


def test_the_place_of_outboxes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Outboxes are in PODIUM_OUTBOX, or else in XDG_STATE_HOME, or else in the home folder.

    Without a home folder, the error tells the user to set PODIUM_OUTBOX.
    """
    monkeypatch.setenv("PODIUM_OUTBOX", f" {tmp_path}\n")
    assert default_root() == tmp_path
    monkeypatch.setenv("PODIUM_OUTBOX", "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_root() == tmp_path / "state" / "podium" / "outbox"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".local" / "state" / "podium" / "outbox"

    def fail() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(FileNotFoundError, match="set PODIUM_OUTBOX to a folder of your own"):
        default_root()


def test_outboxes_of_other_machines(tmp_path: Path) -> None:
    """An outbox belongs to this machine if its parent folder has the name of this machine."""
    outbox = new_outbox(tmp_path)
    assert outbox_address(outbox) == ADDRESS
    assert is_own(outbox)
    other = outbox.parent.with_name("node7") / outbox.name
    assert not is_own(other)


@pytest.mark.parametrize(
    ("owner", "name", "action", "text"),
    [
        (fcntl, "lockf", lambda outbox: SenderLock(outbox).try_acquire(), "cannot lock files"),
        (mmap, "mmap", lambda outbox: new_writer(outbox).prepare(), "cannot map files"),
    ],
)
def test_a_file_system_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    owner: Any,
    name: str,
    action: Callable[[Path], object],
    text: str,
) -> None:
    """If a file system cannot lock or map files, the error tells the user to set PODIUM_OUTBOX.

    The error keeps its `errno`, and no stream is left behind.
    """
    outbox = new_outbox(tmp_path)
    streams = folders.streams(outbox)

    def fail(*_arguments: object, **_named: object) -> Any:
        raise OSError(errno.ENODEV, "no such operation")

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, fail)
        with pytest.raises(OSError, match=f"the outbox {text}.*set PODIUM_OUTBOX") as raised:
            action(outbox)
    assert raised.value.errno == errno.ENODEV
    assert folders.streams(outbox) == streams


def test_who_holds_a_lock(tmp_path: Path) -> None:
    """Only one object at a time can acquire a sender lock, and no other object can release it.

    `is_held_by` does not count a lock of the calling process.
    """
    outbox = new_outbox(tmp_path)
    lock, again = SenderLock(outbox), SenderLock(outbox)
    assert (lock.is_held(), lock.is_held_by(1)) == (False, False)
    assert lock.try_acquire()
    assert not again.try_acquire()
    again.release()
    assert (again.is_held(), again.is_held_by(os.getpid())) == (True, False)
    lock.release()
    lock.release()
    assert (lock.is_held(), again.try_acquire()) == (False, True)
    again.release()


def test_a_stream_that_is_discarded(tmp_path: Path) -> None:
    """`discard` deletes a stream with all its events, unless a process still writes the stream."""
    outbox = new_outbox(tmp_path)
    writer = new_writer(outbox)
    writer.prepare()
    writer.append(b"event")
    reader = StreamReader(writer.folder)
    assert reader.is_original()
    assert not reader.discard()
    assert all_of(reader) == [(1, b"event")]
    writer.release()
    assert reader.discard()
    assert folders.streams(outbox) == []
    assert not reader.is_original()


def test_notices_are_added(tmp_path: Path) -> None:
    """Notices are read in the order in which they were added. A reader can skip the first ones.

    An incomplete last notice is left out.
    """
    for text in ("one\nline", "two", "three"):
        append_notice(tmp_path, text)
    assert read_notices(tmp_path) == ["one\nline", "two", "three"]
    assert read_notices(tmp_path, 2) == ["three"]
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert read_notices(tmp_path, 1) == ["two"]
    path.unlink()
    assert read_notices(tmp_path) == []
