"""Tests of power cuts: everything that was synced survives, even after failed syncs."""

from pathlib import Path

import pytest
from podium._outbox import RejectedEvent, StreamReader, StreamWriter, segments
from podium._outbox.segments import Memory, Segment

from tests.client.outbox.places import all_of, info, new_outbox
from tests.client.outbox.power import Disk


def test_synced_events_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events before a sync survive a power cut, whichever segments they are in."""
    disk = Disk(monkeypatch)
    outbox = new_outbox(tmp_path)
    writer = StreamWriter.create(outbox, info(), segment_bytes=512)
    for number in range(1, 31):
        writer.prepare()
        writer.append(b"%d" % number * 30)
        if number % 3 == 0:
            assert writer.sync() == number
            copy = disk.cut(outbox, tmp_path / f"cut{number}")
            found = all_of(StreamReader(copy / writer.folder.name))
            assert [sequence for sequence, _ in found] == list(range(1, number + 1))
    assert len(list(writer.folder.glob("*.segment"))) > 3
    writer.release()


def test_a_closed_stream_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of a closed stream survive a power cut, because closing syncs them."""
    disk = Disk(monkeypatch)
    outbox = new_outbox(tmp_path)
    writer = StreamWriter.create(outbox, info())
    writer.append(b"event")
    writer.release()
    copy = disk.cut(outbox, tmp_path / "cut")
    assert all_of(StreamReader(copy / writer.folder.name)) == [(1, b"event")]


def test_a_rejected_event_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rejected event survives a power cut as soon as `reject` has returned."""
    disk = Disk(monkeypatch)
    outbox = new_outbox(tmp_path)
    writer = StreamWriter.create(outbox, info())
    writer.append(b"event")
    writer.sync()
    reader = StreamReader(writer.folder)
    events = [RejectedEvent(n, "STALE_ATTEMPT", "newer", 1.5, b"event") for n in (1, 2)]
    for count, event in enumerate(events, 1):
        reader.reject(event)
        copy = disk.cut(outbox, tmp_path / f"cut{count}")
        assert StreamReader(copy / writer.folder.name).rejected_events() == events[:count]
    writer.release()


class _Spy:
    """The memory of a segment, which adds the place of each write to `written`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.written: list[tuple[int, int]] = []

    def __getitem__(self, place: slice) -> bytes:
        return self._memory[place]

    def __setitem__(self, place: slice, content: bytes) -> None:
        self.written.append((place.start, place.stop))
        self._memory[place] = content

    def close(self) -> None:
        self._memory.close()


def test_pages_are_written_again_after_a_failed_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync, the next sync writes the bytes of the segment again.

    The kernel regards the pages of a failed sync as clean, so it would not write them again.
    """
    segment = Segment(tmp_path, 1, 4096)
    segment.bytes = spy = _Spy(segment.bytes)
    spy[0:5] = b"event"
    results = iter([OSError("the disk fails"), OSError("again"), None, None])

    def fdatasync(_descriptor: int) -> None:
        result = next(results)
        if result is not None:
            raise result

    monkeypatch.setattr(segments, "_fdatasync", fdatasync)
    for _ in range(2):
        with pytest.raises(OSError, match=r"fails|again"):
            segment.sync(48)
    assert spy.written == [(0, 5), (0, 48)]
    segment.sync(64)
    assert spy.written == [(0, 5), (0, 48), (0, 64)]
    segment.sync(64)
    assert spy.written == [(0, 5), (0, 48), (0, 64)]
    segment.close(64)
