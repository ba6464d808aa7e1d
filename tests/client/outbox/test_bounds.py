"""Tests of the disk space of an outbox: budgets, full disks, and disks that fail.

One test proves that `append` never releases the GIL.
"""

import errno
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from podium._outbox import Budget, OutboxFullError, StreamReader, StreamWriter, segments

from tests.client.outbox.places import all_of, info, new_outbox, new_writer

_PROJECT = Path(__file__).parents[3]
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_TMPFS = (*_NAMESPACE, "sh", "-ec", 'mount -t tmpfs -o size=1m tmpfs "$0"; exec "$@"')
_ON_BTRFS = """
truncate --size 112M "$0.image"
mkfs.btrfs --quiet --force "$0.image" >/dev/null
mount -o loop "$0.image" "$0"
exec "$@"
"""
_BTRFS = ("unshare", "--mount", "sh", "-ec", _ON_BTRFS)


def _fill_disk(mount: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs `full_disk` on a file system of its own."""
    probe = (*mount, str(folder), "true")
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("this machine does not let this user make and mount such a file system")
    command = (
        *mount,
        str(folder),
        sys.executable,
        "-m",
        "tests.client.outbox.full_disk",
        str(folder),
    )
    return subprocess.run(command, cwd=_PROJECT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("mount", [_TMPFS, _BTRFS], ids=["tmpfs", "btrfs"])
def test_a_full_disk(tmp_path: Path, mount: tuple[str, ...]) -> None:
    """On a full disk, a stream keeps all appended events.

    When there is room again, it continues.
    """
    ran = _fill_disk(mount, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "went on\n"), ran.stderr


def test_the_segments_of_all_streams_are_bounded(tmp_path: Path) -> None:
    """The segments of all streams together never exceed the budget. Delivery makes room again."""
    outbox, budget = new_outbox(tmp_path), Budget(3 * 4096)
    first, second = (
        StreamWriter.create(outbox, info(), segment_bytes=4096, budget=budget) for _ in range(2)
    )
    second.append(b"second")
    first.append(b"x" * 3_000)
    first.prepare()
    first.append(b"x" * 3_000)
    with pytest.raises(OutboxFullError, match="undelivered events take 12,288 of 12,288 bytes"):
        first.prepare()
    with pytest.raises(OutboxFullError):
        first.append(b"x" * 3_000)
    with pytest.raises(OutboxFullError):
        StreamWriter.create(outbox, info(), segment_bytes=4096, budget=budget)
    reader = StreamReader(first.folder)
    reader.note_delivered(all_of(reader)[0][0])
    reader.drop_delivered()
    first.prepare()
    assert first.append(b"x" * 3_000) == 3
    assert budget.taken == 3 * 4096


def test_a_removed_stream_uses_none_of_the_budget(tmp_path: Path) -> None:
    """A stream that was delivered and removed, or could not be created, uses none of the budget."""
    outbox, budget = new_outbox(tmp_path), Budget(1 << 20)
    for _ in range(3):
        writer = StreamWriter.create(outbox, info(), segment_bytes=4096, budget=budget)
        writer.append(b"x" * 3_000)
        writer.prepare()
        writer.release()
        reader = StreamReader(writer.folder)
        all_of(reader)
        reader.note_delivered(1)
        assert reader.remove()
        writer.prepare()
        assert budget.taken == 0
    taken = info(writer_id=new_writer(outbox).info.writer_id)
    with pytest.raises(OSError, match="not empty"):
        StreamWriter.create(outbox, taken, budget=budget)
    assert budget.taken == 0
    assert not [path for path in outbox.iterdir() if path.name.startswith(".")]


def test_a_segment_without_room_on_the_disk_takes_no_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is full, each failed `prepare` uses none of the budget."""
    budget = Budget(3 * 4096)
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=4096, budget=budget)
    writer.append(b"x" * 3_000)

    def full(_descriptor: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as disk:
        disk.setattr(segments, "_memory", full)
        for _ in range(3):
            with pytest.raises(OSError, match="full"):
                writer.prepare()
    writer.prepare()
    assert budget.taken == 2 * 4096


def test_a_budget_of_one_segment_is_enough(tmp_path: Path) -> None:
    """A budget of one segment is enough if each event is delivered before the next is appended."""
    budget = Budget(4096)
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=4096, budget=budget)
    reader = StreamReader(writer.folder)
    for number in range(1, 20):
        assert writer.append(b"x" * 3_000) == number
        with pytest.raises(OutboxFullError):
            writer.prepare()
        assert len(reader.read(number - 1)) == 1
        reader.note_delivered(number)
        reader.drop_delivered()
        writer.prepare()
        assert budget.taken <= 2 * 4096


def test_a_record_larger_than_the_budget_is_an_error(tmp_path: Path) -> None:
    """A record larger than the budget raises a ValueError. The next record is appended."""
    writer = StreamWriter.create(
        new_outbox(tmp_path), info(), segment_bytes=4096, budget=Budget(8192)
    )
    with pytest.raises(
        ValueError, match=r"an event of 10,016 bytes is larger than max_bytes=8,192, the limit"
    ):
        writer.append(b"x" * 10_000)
    assert not writer.needs_room
    assert writer.append(b"x") == 1


def test_appending_never_gives_up_the_interpreter(tmp_path: Path) -> None:
    """`append` never releases the GIL to another thread, whatever the size of the record."""
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=1 << 20)
    turns, stop = [0], threading.Event()

    def wait_for_turns() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=wait_for_turns)
    interval = sys.getswitchinterval()
    thread.start()
    sys.setswitchinterval(1_000)
    try:
        while not turns[0]:
            time.sleep(0.001)
        before = turns[0]
        for size in [*range(0, 2_000, 10), 6_000, 20_000, 200_000]:
            writer.append(bytes(size))
        during = turns[0] - before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    assert during == 0


def test_a_failed_sync_raises_its_error_and_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed sync raises its error. The next sync also covers the events of the failed one."""
    writer = new_writer(new_outbox(tmp_path))
    writer.append(b"first")
    assert writer.sync() == 1
    writer.append(b"second")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as broken:
        broken.setattr(segments, "_fdatasync", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="the disk fails"):
                writer.sync()
    writer.append(b"third")
    assert writer.sync() == 3
    assert [payload for _, payload in all_of(StreamReader(writer.folder))] == [
        b"first",
        b"second",
        b"third",
    ]


def test_upkeep_of_a_deleted_stream_raises_an_error(tmp_path: Path) -> None:
    """If the folder of a stream is deleted, upkeep raises FileNotFoundError. `append` does not."""
    writer = new_writer(new_outbox(tmp_path))
    writer.append(b"x" * 3_000)
    shutil.rmtree(writer.folder)
    assert writer.append(b"more") == 2
    with pytest.raises(FileNotFoundError):
        writer.sync()
    with pytest.raises(FileNotFoundError):
        writer.prepare()
    with pytest.raises(FileNotFoundError):
        writer.release()
    with pytest.raises(ValueError, match="closed"):
        writer.append(b"more")


def test_a_closed_stream_keeps_no_unused_space(tmp_path: Path) -> None:
    """Closing a stream deletes its spare segments and the unused end of its last segment."""
    writer = StreamWriter.create(new_outbox(tmp_path), info())
    writer.append(b"x" * 300_000)
    writer.prepare()
    writer.close()
    writer.close()
    (segment,) = writer.folder.glob("*.segment")
    assert segment.stat().st_size == 300_016
    assert writer.sync() == 1
    assert all_of(StreamReader(writer.folder)) == [(1, b"x" * 300_000)]


def test_the_budget_counts_the_real_size_of_a_segment(tmp_path: Path) -> None:
    """A record larger than a segment gets its own segment.

    The budget counts the segment's real size.
    """
    budget = Budget(1 << 20)
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=4096, budget=budget)
    with pytest.raises(OutboxFullError):
        writer.append(b"x" * 10_000)
    writer.prepare()
    assert writer.append(b"x" * 10_000) == 1
    assert budget.taken == 4096 + 10_016
    writer.release()
    reader = StreamReader(writer.folder)
    reader.read(0)
    reader.note_delivered(1)
    assert reader.remove()
    writer.prepare()
    assert budget.taken == 0


@pytest.mark.parametrize("written", [5, OSError(errno.EIO, "broken")])
def test_a_write_that_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | OSError
) -> None:
    """If a system call fails, or writes an event only in part, OutboxFullError is raised."""
    with (tmp_path / "segment").open("w+b") as file:
        content = segments._Calls(file.fileno())
        content[2:8] = b"123456"
        assert (content[0:4], content[4:8]) == (b"\0\x0012", b"3456")

        def write(*_: object) -> int:
            if isinstance(written, OSError):
                raise written
            return written

        monkeypatch.setattr("os.pwrite", write)
        with pytest.raises(OutboxFullError) as raised:
            content[0:6] = b"abcdef"
        expected = written.errno if isinstance(written, OSError) else errno.ENOSPC
        assert raised.value.errno == expected


@pytest.mark.parametrize(
    ("number", "is_error"), [(errno.EOPNOTSUPP, False), (errno.EINVAL, False), (errno.ENOSPC, True)]
)
def test_a_disk_that_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, is_error: bool
) -> None:
    """If a file system cannot reserve bytes for a segment, zeros are written instead.

    If the file system is full, an error is raised.
    """

    def reserve(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("os.posix_fallocate", reserve, raising=False)
    with (tmp_path / "segment").open("w+b") as file:
        if is_error:
            with pytest.raises(OSError, match="no"):
                segments._fill(file.fileno(), 5_000)
            return
        segments._fill(file.fileno(), 5_000)
        assert file.read() == bytes(5_000)
