"""Tests of which streams lack the end of their arm, and how a sender continues after errors."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from podium._outbox import IDLE, SenderState, StreamReader
from podium._outbox.writer import CLOSED_FILE
from podium._sender import near_names
from podium._sender.damage import LostDeclaration, ignored_disk_errors
from podium._sender.heartbeat import Heartbeat
from podium._sender.missing_end import MissingEnd, find_missing_end, follows
from podium._sender.status_file import Report
from podium._sender.streams import Streams
from podium.errors import error_for
from podium.v1.arm_result_pb2 import ARM_STATUS_FAILED
from podium.v1.event_pb2 import ArmFinished, Event
from podium_server.testing.calls import declared, row, started

from tests.client.outbox.places import info, new_outbox
from tests.client.sender.outboxes import appended, dead_stream, writer


def _finished(attempt: str) -> Event:
    return Event(arm_finished=ArmFinished(arm="a", attempt_id=attempt, status=ARM_STATUS_FAILED))


_BEGUN = (started("a", "A", 1), row("v", 1))
_AGAIN = started("a", "B", 2)


@pytest.mark.parametrize(
    ("events", "fields", "is_closed", "attempt"),
    [
        (_BEGUN, {}, False, "A"),
        ((*_BEGUN, _finished("A")), {}, False, None),
        ((*_BEGUN, _finished("A"), row("v", 2)), {}, False, None),
        ((*_BEGUN, _finished("B")), {}, False, "A"),
        ((*_BEGUN, _finished("A"), _AGAIN), {}, False, "B"),
        ((*_BEGUN, _AGAIN, _finished("A")), {}, False, "B"),
        ((row("v", 1),), {}, False, None),
        ((row("v", 1),), {"attempt_id": "C", "attempt_order": 3}, False, "C"),
        ((row("v", 1),), {"attempt_id": "C"}, False, None),
        ((row("v", 1), _finished("C")), {"attempt_id": "C", "attempt_order": 3}, False, None),
        (_BEGUN, {"host": "node7"}, False, None),
        (_BEGUN, {"is_main": False}, False, "A"),
        (_BEGUN, {"is_main": False}, True, None),
        (_BEGUN, {}, True, "A"),
    ],
)
def test_which_attempt_lacks_an_end(
    tmp_path: Path,
    events: tuple[Event, ...],
    fields: dict[str, Any],
    attempt: str | None,
    *,
    is_closed: bool,
) -> None:
    """A stream lacks the end of its newest attempt, unless an event of the stream is this end.

    A stream of another host lacks no end. A closed stream lacks none either if its process is not
    the main process.
    """
    stream = writer(new_outbox(tmp_path), "x", **fields)
    appended(stream, *events)
    stream.prepare()
    stream.append(b"\xff no event")
    stream.release()
    (stream.folder / CLOSED_FILE).unlink(missing_ok=True)
    if is_closed:
        (stream.folder / CLOSED_FILE).touch()
    found = find_missing_end(StreamReader(stream.folder))
    if attempt is None:
        assert found is None
    else:
        assert isinstance(found, MissingEnd)
        assert found._attempt_id == attempt


def test_a_lost_declaration(tmp_path: Path) -> None:
    """If no event of an experiment's own stream can be read, the declaration counts as lost."""
    folder = dead_stream(new_outbox(tmp_path), "x", declared(hypothesis="why"), arm=None)
    assert find_missing_end(StreamReader(folder)) is None
    payload = declared(hypothesis="why").SerializeToString()
    [segment] = [path for path in folder.iterdir() if payload in path.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(payload, b"x" * len(payload)))
    assert isinstance(find_missing_end(StreamReader(folder)), LostDeclaration)


def test_which_stream_another_one_follows(tmp_path: Path) -> None:
    """A stream follows the stream that its description names. A deleted stream follows none."""
    outbox = new_outbox(tmp_path)
    assert follows(dead_stream(outbox, "x", row("v", 1), follows="first")) == "first"
    assert follows(dead_stream(outbox, "x", row("v", 1))) is None
    assert follows(tmp_path / "none") is None


@pytest.mark.parametrize(("count", "text"), [(3, "; did you mean 'arm-x'?"), (2_001, "")])
async def test_names_near_an_unknown_one(count: int, text: str) -> None:
    """The name of an unknown arm is compared with those of the first 2,000 arms.

    If the call for their names fails, no name is suggested.
    """
    asked: list[int] = []
    error = None

    async def arms() -> AsyncIterator[Any]:
        if error is not None:
            raise error
        for number in range(count):
            asked.append(number)
            yield SimpleNamespace(name="arm-x" if number == count - 1 else str(number))

    experiment: Any = SimpleNamespace(arms=arms)
    assert await near_names.near_arms_text(experiment, "arm-y") == text
    assert len(asked) == min(count, 2_000)
    error = error_for("SHUTTING_DOWN", "later")
    assert await near_names.near_arms_text(experiment, "arm-y") == ""


async def test_a_heartbeat_that_fails() -> None:
    """A failed heartbeat is not repeated, and the next one is not due at once."""
    calls: list[str] = []

    async def record(name: str, _events: object) -> None:
        calls.append(name)
        raise error_for("SHUTTING_DOWN", "later")

    client: Any = SimpleNamespace(record=record)
    beat = Heartbeat(info())
    beat._last = 0.0
    assert beat.is_due()
    await beat.send(client)
    assert calls == ["rank_sweep"]
    assert not beat.is_due()


def test_a_status_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If a status cannot be written, the sender logs it and tries again only with a new status."""
    report = Report([tmp_path], "here:1")
    states = [SenderState(1, "here:1", IDLE), SenderState(2, "here:1", IDLE)]
    written: list[int] = []
    monkeypatch.setattr(Report, "_state", lambda *_: states[0])

    def write(state: SenderState, _outbox: Path) -> None:
        written.append(state.pid)
        raise OSError("no room")

    monkeypatch.setattr(SenderState, "write", write)
    sender: Any = None
    for _ in range(2):
        report(sender)
        report(sender)
        states.pop(0) if len(states) > 1 else None
    assert written == [1, 2]
    assert caplog.text.count("sender.json cannot be written: no room") == 2


def test_streams_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stream that cannot be read stays among the unsent streams and pauses.

    The other streams have no pause.
    """
    outbox = new_outbox(tmp_path)
    bad, good = (dead_stream(outbox, "x", row("v", 1), host=host) for host in ("n7", "n8"))
    found = Streams([outbox], is_bounded=False, defect_seconds=600.0)
    found.look(set())
    stream, other = found.known[bad], found.known[good]

    def fail(*_arguments: object, **_named: object) -> Any:
        raise OSError("the disk is broken")

    stream._is_pending = False
    monkeypatch.setattr(stream._reader, "has_more", fail)
    found.note_sent(stream)
    assert set(found.unsent) == {stream, other}
    assert stream.pause is not None
    assert "the outbox cannot be read or written: the disk is broken" in stream.pause.message
    stream.wait(None)
    found.look(set())
    assert set(found.unsent) == {stream, other}
    assert stream.pause is not None
    assert other.pause is None


def test_disk_errors_that_do_not_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`ignored_disk_errors` logs an OSError and raises any other error."""
    with ignored_disk_errors(tmp_path):
        raise OSError("no room")
    assert f"{tmp_path}: no room" in caplog.text
    with pytest.raises(ValueError, match="other"), ignored_disk_errors(tmp_path):
        raise ValueError("other")
