"""Tests of damaged outboxes: reading one never crashes, and never returns a wrong record."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from podium._outbox import (
    DamagedError,
    Progress,
    RejectedEvent,
    StreamReader,
    StreamWriter,
    outbox_address,
    outbox_folder,
)

from tests.client.outbox.places import ADDRESS, all_of, info, new_outbox, new_writer
from tests.sparse import sparse

_PAYLOADS = [bytes([number]) * (number * 11 % 90) for number in range(1, 16)]
_ALL = list(enumerate(_PAYLOADS, 1))


def _closed_stream(root: Path) -> Path:
    """Creates a stream of 15 records in several segments, and closes it. Returns its folder."""
    writer = StreamWriter.create(new_outbox(root), info(), segment_bytes=512)
    for payload in _PAYLOADS:
        writer.prepare()
        writer.append(payload)
    writer.release()
    return writer.folder


def _flips(path: Path) -> Iterator[int]:
    """Flips one bit of each byte of a file in turn, and yields the place of the byte.

    Only one byte is changed at a time. At the end, the file is as before.
    """
    content = path.read_bytes()
    for place, byte in enumerate(content):
        flipped = byte ^ (1 << place % 8)
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        yield place
    path.write_bytes(content)


@pytest.mark.parametrize("number", sparse([2, 1, 3]))
def test_a_flipped_byte_costs_one_record_at_most(tmp_path: Path, number: int) -> None:
    """If any byte of a segment changes, at most one record is missing. The others are unchanged."""
    folder = _closed_stream(tmp_path)
    costs = set()
    for _ in _flips(folder / f"{number:08}.segment"):
        found = all_of(StreamReader(folder))
        assert [entry for entry in _ALL if entry in found] == found
        costs.add(len(_ALL) - len(found))
    assert costs == {0, 1}
    assert all_of(StreamReader(folder)) == _ALL


def test_a_segment_with_a_damaged_record_is_kept(tmp_path: Path) -> None:
    """When a segment with a damaged record is delivered, it is kept whole as a `.torn` file."""
    folder = _closed_stream(tmp_path)
    segment = folder / "00000002.segment"
    content = bytearray(segment.read_bytes())
    content[20] ^= 1
    segment.write_bytes(content)
    reader = StreamReader(folder)
    found = all_of(reader)
    assert len(found) == len(_ALL) - 1
    reader.note_delivered(15)
    assert [path.name for path in reader.drop_delivered()] == ["00000002.torn"]
    assert reader.is_finished()
    assert not reader.remove()
    assert [path.name for path in reader.torn()] == ["00000002.torn"]
    assert reader.torn()[0].read_bytes() == content
    assert sorted(path.name for path in folder.glob("*.segment")) == []
    assert reader.is_finished()
    assert all_of(StreamReader(folder)) == []


def test_the_last_segment_may_be_cut_anywhere(tmp_path: Path) -> None:
    """If the last segment is cut off at any byte, only whole records are read, without a gap."""
    folder = _closed_stream(tmp_path)
    last = max(folder.glob("*.segment"))
    content = last.read_bytes()
    before = len(_ALL)
    for size in reversed(range(len(content))):
        last.write_bytes(content[:size])
        found = all_of(StreamReader(folder))
        assert found == _ALL[: len(found)]
        assert len(found) <= before
        before = len(found)


def test_events_after_a_page_of_zeros_are_kept_but_not_delivered(tmp_path: Path) -> None:
    """Events before a page of zeros are read. Later events are not delivered, but kept.

    A power cut can leave such a page.
    """
    folder = _closed_stream(tmp_path)
    segment = folder / "00000002.segment"
    content = segment.read_bytes()
    segment.write_bytes(bytes(256) + content[256:])
    reader = StreamReader(folder)
    found = all_of(reader)
    assert 0 < len(found) < 8
    assert found == _ALL[: len(found)]
    reader.note_delivered(len(found))
    assert reader.is_finished()
    assert not reader.remove()
    kept = [path.name for path in reader.torn()]
    assert kept[0] == "00000002.torn"
    assert len(kept) > 1, "later segments are kept, too"
    assert not list(folder.glob("*.segment"))


def test_damage_while_it_is_written_waits_for_the_next_segment(tmp_path: Path) -> None:
    """In the segment that is being written, reading stops at a damaged record.

    It could be a record that is not complete yet. When the writer is in the next segment, the
    damaged record is skipped.
    """
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=512)
    for _ in range(3):
        writer.append(b"x" * 100)
    with (writer.folder / "00000001.segment").open("r+b") as file:
        file.seek(128 + 20)
        file.write(b"y")
    reader = StreamReader(writer.folder)
    assert [entry.sequence for entry in reader.read(0)] == [1]
    assert reader.read(1) == []
    writer.prepare()
    writer.append(b"z" * 400)
    assert [entry.sequence for entry in reader.read(1)] == [3, 4]
    assert [entry.sequence for entry in StreamReader(writer.folder).read(0)] == [1, 3, 4]


def test_damage_to_the_description_of_a_stream(tmp_path: Path) -> None:
    """If a byte of `stream.json` changes, reading it raises DamagedError or changes no value."""
    folder = _closed_stream(tmp_path)
    said = StreamReader(folder).info
    for _ in _flips(folder / "stream.json"):
        with suppress(DamagedError):
            assert StreamReader(folder).info == said  # equal if, for example, a space became a tab


def test_damage_to_the_address_gives_no_wrong_address(tmp_path: Path) -> None:
    """A damaged `outbox.json` never gives a wrong address.

    `outbox_folder` writes the file again.
    """
    outbox = new_outbox(tmp_path)
    for _ in _flips(outbox / "outbox.json"):
        with suppress(DamagedError):
            assert outbox_address(outbox) == ADDRESS
    (outbox / "outbox.json").write_bytes(b"")
    with pytest.raises(DamagedError, match=r"outbox\.json is damaged"):
        outbox_address(outbox)
    assert outbox_folder(tmp_path / "outbox", ADDRESS) == outbox
    assert outbox_address(outbox) == ADDRESS


def test_damaged_progress_counts_as_zero(tmp_path: Path) -> None:
    """If any byte of the file `delivered` changes, the progress of the stream counts as zero."""
    folder = _closed_stream(tmp_path)
    reader = StreamReader(folder)
    reader.note_delivered(11)
    for _ in _flips(folder / "delivered"):
        assert reader.progress() == Progress(0, 0)
    assert reader.progress() == Progress(11, 0)


def test_damage_to_a_rejected_event_hides_at_most_one_other(tmp_path: Path) -> None:
    """A changed line of `rejected.jsonl` is skipped, and at most one other line with it.

    The next line is skipped, too, if the line break before it changed.
    """
    reader = StreamReader(_closed_stream(tmp_path))
    rejected_events = [
        RejectedEvent(number, "STALE_ATTEMPT", "a newer attempt", 1.5, b"event")
        for number in (3, 5, 9)
    ]
    for rejected in rejected_events:
        reader.reject(rejected)
    for _ in _flips(reader.folder / "rejected.jsonl"):
        found = reader.rejected_events()
        assert [rejected for rejected in rejected_events if rejected in found] == found
        assert len(found) >= 1
    assert reader.rejected_events() == rejected_events


def test_records_inside_a_damaged_one_are_not_found(tmp_path: Path) -> None:
    """If a damaged record contains a copy of a segment, no records are read from the copy."""
    outbox = new_outbox(tmp_path)
    source = new_writer(outbox)
    source.append(b"one")
    source.append(b"two")
    inner = (source.folder / "00000001.segment").read_bytes()
    writer = StreamWriter.create(outbox, info(), segment_bytes=8192)
    for payload in (b"before", inner, b"behind"):
        writer.append(payload)
    writer.release()
    segment = writer.folder / "00000001.segment"
    content = bytearray(segment.read_bytes())
    content[32] ^= 1
    segment.write_bytes(content)
    assert all_of(StreamReader(writer.folder)) == [(1, b"before"), (3, b"behind")]


def test_a_stream_can_be_removed_without_its_progress(tmp_path: Path) -> None:
    """Even if its progress cannot be written, a delivered stream is finished and can be removed."""
    folder = _closed_stream(tmp_path)
    (folder / "delivered").unlink()
    (folder / "delivered").mkdir()
    reader = StreamReader(folder)
    all_of(reader)
    with pytest.raises(IsADirectoryError):
        reader.note_delivered(15)
    reader.drop_delivered()
    assert len(list(folder.glob("*.segment"))) == 1
    assert reader.is_finished()
    assert reader.remove()
