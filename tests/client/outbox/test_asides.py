"""Events that were refused for good: kept, counted, and delivered later on demand."""

from pathlib import Path

from podium._outbox import Aside, Progress, StreamReader, streams

from tests.client.outbox.places import all_of, new_outbox, new_writer


def _aside(sequence: int, **fields: object) -> Aside:
    said = {
        "reason": "STALE_ATTEMPT",
        "message": "attempt 2 of the arm is newer",
        "time": 1_700_000_000.25,
        "event": b"\x00\xff event %d" % sequence,
    }
    return Aside(sequence, **(said | fields))  # type: ignore[arg-type]  # fields by name


def _reader(root: Path) -> StreamReader:
    writer = new_writer(new_outbox(root))
    for number in range(1, 6):
        writer.append(b"event %d" % number)
    writer.release()
    reader = StreamReader(writer.folder)
    assert len(all_of(reader)) == 5
    return reader


def test_asides_are_kept_and_counted(tmp_path: Path) -> None:
    """What was set aside is listed in order, also by the next sender, and counted as such."""
    reader = _reader(tmp_path)
    assert reader.asides() == []
    for sequence in (4, 2):
        reader.set_aside(_aside(sequence))
    reader.note_delivered(5)
    assert reader.progress() == Progress(delivered=5, set_aside=2)
    again = StreamReader(reader.folder)
    assert again.asides() == [_aside(2), _aside(4)]
    assert reader.asides()[0].event == b"\x00\xff event 2"


def test_an_aside_said_twice_is_one(tmp_path: Path) -> None:
    """A sender that was killed behind its note sets the event aside once more: the last stands."""
    reader = _reader(tmp_path)
    reader.set_aside(_aside(2))
    reader.set_aside(_aside(2, time=1_700_000_009.0))
    assert reader.asides() == [_aside(2, time=1_700_000_009.0)]
    reader.note_delivered(2)
    assert reader.progress() == Progress(delivered=2, set_aside=1)


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line: what comes next begins a line of its own."""
    reader = _reader(tmp_path)
    reader.set_aside(_aside(2))
    with (reader.folder / "aside.jsonl").open("ab") as file:
        file.write(b'{"sequence": 3, "rea')
    reader.set_aside(_aside(4))
    assert reader.asides() == [_aside(2), _aside(4)]


def test_a_retried_event_waits_no_more(tmp_path: Path) -> None:
    """An event that was delivered after all stays listed, and is not counted."""
    reader = _reader(tmp_path)
    reader.set_aside(_aside(2))
    reader.set_aside(_aside(3))
    reader.note_delivered(5)
    reader.mark_retried(2)
    assert reader.progress() == Progress(delivered=5, set_aside=1)
    assert [aside.retried for aside in reader.asides()] == [True, False]


def test_a_stream_with_asides_stays(tmp_path: Path) -> None:
    """The events delivered, a stream goes when everything that was set aside was retried."""
    reader = _reader(tmp_path)
    reader.set_aside(_aside(2))
    reader.note_delivered(5)
    assert reader.is_finished()
    assert not reader.remove()
    reader = StreamReader(reader.folder)
    assert reader.is_finished()
    assert (reader.last_sequence(), reader.read(0)) == (5, [])
    assert reader.asides() == [_aside(2)]
    reader.mark_retried(2)
    assert reader.remove()
    assert streams(reader.folder.parent) == []
