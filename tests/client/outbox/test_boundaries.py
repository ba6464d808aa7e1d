"""Tests of the limits of an outbox at their exact values, and of damaged or odd files in it."""

import os
import struct
import time
from pathlib import Path
from zlib import crc32

import pytest
from podium._outbox import Budget, OutboxFullError, Progress, StreamReader, folders
from podium._outbox.files import own_folder
from podium._outbox.folders import outbox_address, outbox_folder, outboxes, streams, sweep
from podium._outbox.notices import append_notice, read_notices
from podium._outbox.progress import note_progress, read_progress

from tests.client.outbox.places import all_of, new_outbox, new_writer


def test_a_budget_can_be_used_up() -> None:
    """All bytes of a budget can be taken, but no more. A single record may take all of them."""
    budget = Budget(100)
    budget.check(100)
    with pytest.raises(ValueError, match="an event of 101 bytes is larger"):
        budget.check(101)
    budget.take(60)
    budget.take(40)
    with pytest.raises(OutboxFullError):
        budget.take(1)
    budget.take(1, beyond=True)
    budget.give_back(41)
    assert budget.taken == 60


@pytest.mark.parametrize(
    ("most_events", "most_bytes", "count"),
    [(3, 100, 3), (2, 100, 2), (9, 20, 2), (9, 19, 1), (9, 29, 2), (9, 30, 3), (1, 1, 1)],
)
def test_the_limits_of_a_read(
    tmp_path: Path, most_events: int, most_bytes: int, count: int
) -> None:
    """A read returns as many events as its two limits allow, but at least one."""
    writer = new_writer(new_outbox(tmp_path))
    for _ in range(3):
        writer.append(b"x" * 10)
    found = StreamReader(writer.folder).read(0, most_events=most_events, most_bytes=most_bytes)
    assert len(found) == count


def test_a_writer_that_is_back_counts_as_gone_only_after_the_whole_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer counts as gone only after its lock was free for 3 s without a break.

    A process that copies its own outbox loses the lock for a moment.
    """
    writer = new_writer(new_outbox(tmp_path))
    stream = StreamReader(writer.folder)
    now, is_held = 100.0, False
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(stream._lock, "is_held", lambda: is_held)
    assert not stream.is_finished()
    now += 2.9
    assert not stream.is_finished()
    assert stream.is_settling
    is_held = True
    assert not stream.is_finished()
    assert not stream.is_settling
    now, is_held = now + 1.0, False
    assert not stream.is_finished()
    now += 2.9
    assert not stream.is_finished()
    now += 0.1
    assert stream.is_finished()
    writer.release()


def test_progress_that_is_damaged_is_zero(tmp_path: Path) -> None:
    """If the file that stores the progress is damaged, the progress counts as zero."""
    note_progress(tmp_path, Progress(7, 2))
    assert read_progress(tmp_path) == (7, 2)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    assert whole == struct.pack("<QQI", 7, 2, crc32(whole[:16]))
    for content in (b"\x08" + whole[1:], whole[:-1], whole[:16] + bytes(4), b""):
        file.write_bytes(content)
        assert read_progress(tmp_path) == (0, 0)


def test_a_notice_that_is_being_written_is_read_later(tmp_path: Path) -> None:
    """A notice is read only when it is complete, even if it contains line breaks."""
    assert read_notices(tmp_path) == []
    append_notice(tmp_path, "one\ntwo\u2028three")
    (file,) = tmp_path.iterdir()
    with file.open("a") as more:
        more.write('"half')
    assert read_notices(tmp_path) == ["one\ntwo\u2028three"]
    with file.open("a") as more:
        more.write(' a notice"\n')
    assert read_notices(tmp_path, 1) == ["half a notice"]


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    """If other users can read an existing folder, `own_folder` makes it private."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    own_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_hidden_folders_are_deleted_after_an_hour(tmp_path: Path) -> None:
    """`sweep` deletes hidden folders that are older than an hour, and keeps younger ones.

    In a younger one, a process may still be creating a stream.
    """
    outbox = new_outbox(tmp_path)
    for name, age in ((".old", 3_700), (".new", 3_500), ("stream", 9_000)):
        (outbox / name).mkdir()
        at = time.time() - age
        os.utime(outbox / name, (at, at))
    sweep(outbox)
    assert sorted(path.name for path in outbox.iterdir() if path.is_dir()) == [".new", "stream"]


def test_addresses_with_similar_names_have_outboxes_of_their_own(tmp_path: Path) -> None:
    """Addresses that differ only in characters such as `:` and `/` have different outboxes."""
    addresses = ["host:50051", "host-50051", "unix:/a/b", "unix:/a-b"]
    found = [outbox_folder(tmp_path / "root", address) for address in addresses]
    assert [outbox_address(outbox) for outbox in found] == addresses
    assert outboxes(tmp_path / "root") == sorted(found)


def test_a_link_is_no_stream(tmp_path: Path) -> None:
    """A symbolic link in an outbox is not listed as a stream, even if it leads to a folder."""
    outbox = new_outbox(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (outbox / "linked").symlink_to(tmp_path / "elsewhere")
    (outbox / "stream").mkdir()
    assert streams(outbox) == [outbox / "stream"]


def test_writer_ids_sort_by_time_in_every_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer ID begins with the time in UTC, whatever the local time zone is."""
    monkeypatch.setenv("TZ", "XXX-14")
    time.tzset()
    try:
        utc = time.strftime("%Y%m%dT%H", time.gmtime())
        assert folders.new_writer_id().startswith(utc)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({"PODIUM_OUTBOX": " ~/x\n"}, "HOME/x"),
        ({"PODIUM_OUTBOX": "/x", "XDG_STATE_HOME": "/y"}, "/x"),
        ({"PODIUM_OUTBOX": "\n", "XDG_STATE_HOME": "/y"}, "/y/podium/outbox"),
        ({}, "HOME/.local/state/podium/outbox"),
    ],
)
def test_the_folder_of_all_outboxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], root: str
) -> None:
    """Outboxes are in PODIUM_OUTBOX, or else below XDG_STATE_HOME, or else below the home folder.

    A blank variable counts as not set.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert str(folders.default_root()) == root.replace("HOME", str(tmp_path))


def test_a_segment_stays_until_its_last_event_is_delivered(tmp_path: Path) -> None:
    """A segment is kept as long as one of its events is not delivered."""
    writer = new_writer(new_outbox(tmp_path))
    for number in range(6):
        writer.append(b"%d" % number * 1_500)
        writer.prepare()
    stream = StreamReader(writer.folder)
    events = all_of(stream)
    assert len(list(writer.folder.glob("*.segment"))) >= 3
    stream.note_delivered(3)
    assert stream.drop_delivered() == []
    assert StreamReader(writer.folder).read(3)[0].sequence == 4
    assert len(events) == 6
    writer.release()
