"""Tests of copies of outboxes, even copies that are made while the outbox is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from podium._outbox import StreamReader, StreamWriter, outboxes, streams

from tests.client.outbox.places import ADDRESS, all_of, info, new_outbox, new_writer


def _copied(source: Path, target: Path, meanwhile: Callable[[], None]) -> Path:
    """Copies a folder in small pieces, as `cp` does.

    Calls `meanwhile` after each piece of the last two segments.
    """
    target.mkdir()
    written_now = sorted(source.glob("*.segment"))[-2:]
    for path in sorted(source.iterdir()):
        with path.open("rb", buffering=0) as read, (target / path.name).open("wb") as written:
            while piece := read.read(4096):
                written.write(piece)
                if path in written_now:
                    meanwhile()
    return target


def test_a_copy_has_the_same_name_stream_and_events(tmp_path: Path) -> None:
    """A copied outbox has the same name, stream and events.

    The copied stream has no live writer.
    """
    writer = new_writer(new_outbox(tmp_path))
    for number in range(50):
        writer.prepare()
        writer.append(b"%d" % number * 50)
    copy = Path(shutil.copytree(tmp_path / "outbox", tmp_path / "elsewhere"))
    (outbox,) = outboxes(copy)
    (folder,) = streams(outbox)
    reader = StreamReader(folder)
    assert (outbox.parts[-1], reader.info) == (writer.folder.parent.name, writer.info)
    assert ADDRESS.split(":")[0] in outbox.name
    assert not reader.writer_lives()
    assert all_of(reader) == all_of(StreamReader(writer.folder))
    assert len(all_of(reader)) == 50


@pytest.mark.slow
def test_a_copy_made_meanwhile_holds_a_beginning(tmp_path: Path) -> None:
    """From a copy that is made while the outbox is written, only events before a gap are read.

    If later events were read, the events in the gap would count as lost.
    """
    writer = StreamWriter.create(new_outbox(tmp_path), info(), segment_bytes=32 * 1024)
    random = Random(3)  # noqa: S311 - no secret

    def append() -> None:
        for _ in range(random.randint(0, 20)):
            writer.prepare()
            writer.append(b"%d" % (writer.last_sequence + 1) * random.randint(1, 40))

    copies = [_copied(writer.folder, tmp_path / f"copy{number}", append) for number in range(25)]
    original, cut = all_of(StreamReader(writer.folder)), 0
    for copy in copies:
        reader = StreamReader(copy)
        found = all_of(reader)
        assert found == original[: len(found)]
        reader.note_delivered(len(found))
        cut += not reader.remove()  # a stream with events after a gap is kept
    assert len(original) > 1_000
    assert cut > 10, "hardly any copy has a gap: little was tried"
