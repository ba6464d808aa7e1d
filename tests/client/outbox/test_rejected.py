"""Tests of rejected events, which are kept, counted, and sent again on demand."""

import os
from pathlib import Path

import pytest
from podium._outbox import Progress, RejectedEvent, StreamReader, streams

from tests.client.outbox.places import all_of, new_outbox, new_writer


def _rejected(sequence: int, **fields: object) -> RejectedEvent:
    said = {
        "reason": "STALE_ATTEMPT",
        "message": "attempt 2 of the arm is newer",
        "time": 1_700_000_000.25,
        "event": b"\x00\xff event %d" % sequence,
    }
    return RejectedEvent(sequence, **(said | fields))  # type: ignore[arg-type]  # fields by name


def _reader(root: Path) -> StreamReader:
    writer = new_writer(new_outbox(root))
    for number in range(1, 6):
        writer.append(b"event %d" % number)
    writer.release()
    reader = StreamReader(writer.folder)
    assert len(all_of(reader)) == 5
    return reader


def test_rejected_events_are_kept_and_counted(tmp_path: Path) -> None:
    """Rejected events are counted, and listed in order, even for the next reader of the stream."""
    reader = _reader(tmp_path)
    assert reader.rejected_events() == []
    for sequence in (4, 2):
        reader.reject(_rejected(sequence))
    reader.note_delivered(5)
    assert reader.progress() == Progress(delivered=5, rejected=2)
    again = StreamReader(reader.folder)
    assert again.rejected_events() == [_rejected(2), _rejected(4)]
    assert reader.rejected_events()[0].event == b"\x00\xff event 2"


def test_a_repeated_rejection_counts_once(tmp_path: Path) -> None:
    """If a rejection is stored twice, it counts once, and only the second one is listed.

    A sender that was killed after a rejection may store it again.
    """
    reader = _reader(tmp_path)
    reader.reject(_rejected(2))
    reader.reject(_rejected(2, time=1_700_000_009.0))
    assert reader.rejected_events() == [_rejected(2, time=1_700_000_009.0)]
    reader.note_delivered(2)
    assert reader.progress() == Progress(delivered=2, rejected=1)


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    """A line that a kill left incomplete is skipped. The next rejected event begins a new line."""
    reader = _reader(tmp_path)
    reader.reject(_rejected(2))
    with (reader.folder / "rejected.jsonl").open("ab") as file:
        file.write(b'{"sequence": 3, "rea')
    reader.reject(_rejected(4))
    assert reader.rejected_events() == [_rejected(2), _rejected(4)]


def test_a_retried_event_waits_no_more(tmp_path: Path) -> None:
    """A rejected event that was sent again is still listed, but no longer counted."""
    reader = _reader(tmp_path)
    reader.reject(_rejected(2))
    reader.reject(_rejected(3))
    reader.note_delivered(5)
    reader.mark_retried(2)
    assert reader.progress() == Progress(delivered=5, rejected=1)
    assert [rejected.retried for rejected in reader.rejected_events()] == [True, False]


def test_a_stream_with_rejected_events_stays(tmp_path: Path) -> None:
    """A delivered stream can be removed only after all its rejected events were sent again."""
    reader = _reader(tmp_path)
    reader.reject(_rejected(2))
    reader.note_delivered(5)
    assert reader.is_finished()
    assert not reader.remove()
    reader = StreamReader(reader.folder)
    assert reader.is_finished()
    assert (reader.last_sequence(), reader.read(0)) == (5, [])
    assert reader.rejected_events() == [_rejected(2)]
    reader.mark_retried(2)
    assert reader.remove()
    assert streams(reader.folder.parent) == []


def test_a_changed_line_is_left_out(tmp_path: Path) -> None:
    """A line whose checksum is wrong is skipped, so a damaged event is never sent again."""
    reader = _reader(tmp_path)
    reader.reject(_rejected(2), _rejected(3))
    file = reader.folder / "rejected.jsonl"
    file.write_text(file.read_text().replace('"sequence": 2', '"sequence": 4'))
    assert reader.rejected_events() == [_rejected(3)]


def test_a_disk_that_takes_lines_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If `os.write` writes only a part of the lines, it is called again until all are written."""
    reader = _reader(tmp_path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:100]))
    reader.reject(_rejected(2), _rejected(3))
    assert reader.rejected_events() == [_rejected(2), _rejected(3)]
