"""Tests of a stream that is written, read, delivered and removed."""

from dataclasses import replace
from pathlib import Path

import pytest
from podium._outbox import OutboxFullError, Progress, StreamReader, StreamWriter, streams

from tests.client.outbox.places import all_of, info, new_outbox, new_writer


def _append_all(writer: StreamWriter, payloads: list[bytes]) -> None:
    for payload in payloads:
        if writer.needs_room:
            writer.prepare()
        writer.append(payload)


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    """While a stream is written, its records are read in order with their sequences.

    The records have many sizes, and are in many segments.
    """
    payloads = [bytes([number]) * (number * 7 % 300) for number in range(200)]
    writer = new_writer(new_outbox(tmp_path))
    _append_all(writer, payloads)
    reader = StreamReader(writer.folder)
    assert all_of(reader) == list(enumerate(payloads, 1))
    assert (reader.last_sequence(), writer.last_sequence) == (200, 200)
    assert writer.append(b"more") == 201
    assert reader.read(200) == [(201, b"more")]


def test_a_stream_has_the_description_of_its_writer(tmp_path: Path) -> None:
    """A stream's folder is in the outbox, and has the description that the writer was given."""
    outbox = new_outbox(tmp_path)
    given = info(arm=None, attempt_id=None, attempt_order=None)
    writer = StreamWriter.create(outbox, given)
    assert streams(outbox) == [writer.folder] == [outbox / given.writer_id]
    lock = (writer.folder / "lock").stat()
    assert StreamReader(writer.folder).info == replace(given, lock_inode=lock.st_ino)


def test_batches_are_bounded(tmp_path: Path) -> None:
    """A read returns at most the given numbers of events and bytes, but at least one event."""
    writer = new_writer(new_outbox(tmp_path))
    _append_all(writer, [b"x" * 100] * 10)
    reader = StreamReader(writer.folder)
    assert [entry.sequence for entry in reader.read(0, most_events=3)] == [1, 2, 3]
    assert [entry.sequence for entry in reader.read(3, most_bytes=250)] == [4, 5]
    assert [entry.sequence for entry in reader.read(5, most_bytes=10)] == [6]
    assert [entry.sequence for entry in reader.read(2, most_events=2)] == [3, 4]


def test_no_room_until_prepared(tmp_path: Path) -> None:
    """If a segment is full, `append` rejects records until the next segment is prepared.

    A rejected record uses up no sequence.
    """
    writer = new_writer(new_outbox(tmp_path))
    for _ in range(4):
        writer.append(b"x" * 1000)
    with pytest.raises(OutboxFullError):
        writer.append(b"x" * 1000)
    writer.prepare()
    assert writer.append(b"x" * 1000) == 5


def test_a_large_record_gets_a_large_segment(tmp_path: Path) -> None:
    """A record larger than a segment is rejected at first, and appended after one `prepare`."""
    writer = new_writer(new_outbox(tmp_path))
    writer.append(b"small")
    large = bytes(range(256)) * 200
    with pytest.raises(OutboxFullError):
        writer.append(large)
    writer.prepare()
    assert writer.append(large) == 2
    writer.prepare()
    assert not writer.needs_room
    assert all_of(StreamReader(writer.folder)) == [(1, b"small"), (2, large)]


def test_delivered_segments_are_deleted(tmp_path: Path) -> None:
    """Delivered segments are deleted while the stream is still written.

    The folder is deleted when the stream is closed and delivered.
    """
    outbox = new_outbox(tmp_path)
    writer = new_writer(outbox)
    _append_all(writer, [b"x" * 500] * 30)
    reader = StreamReader(writer.folder)
    assert len(all_of(reader)) == 30
    reader.note_delivered(30)
    assert reader.drop_delivered() == []
    assert len(list(writer.folder.glob("*.segment"))) <= 2
    assert writer.progress() == Progress(delivered=30, rejected=0)
    assert writer.append(b"last") == 31
    assert reader.read(30) == [(31, b"last")]
    writer.close()
    assert not reader.writer_lives()
    assert not reader.is_finished()
    reader.note_delivered(31)
    assert not reader.is_finished(), "the recorder still asks for its progress"
    writer.release()
    assert reader.is_finished()
    assert reader.remove()
    assert streams(outbox) == []


def test_a_record_that_is_half_written_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a reader sees half a record, and the writer starts a new segment, no event is skipped."""
    writer = new_writer(new_outbox(tmp_path))
    for _ in range(3):
        writer.append(b"x" * 1000)
    writer.prepare()
    reader = StreamReader(writer.folder)
    monkeypatch.setattr(reader, "writer_lives", lambda: True)
    whole = reader._bytes

    def half(number: int, begin: int = 0, most: int | None = None) -> bytes:
        data = whole(number, begin, most)
        if number != 1 or most is not None:
            return data
        if writer.last_sequence == 3:
            writer.append(b"y" * 1000)
            writer.prepare()
            writer.append(b"z" * 1000)
        return data[: data.rindex(b"x") - 500]

    monkeypatch.setattr(reader, "_bytes", half)
    assert [entry.sequence for entry in reader.read(0)] == [1, 2]
    monkeypatch.setattr(reader, "_bytes", whole)
    assert [entry.sequence for entry in reader.read(2)] == [3, 4, 5]
