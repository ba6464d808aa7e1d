"""Tests of a full or failing disk: the errors of calls, and that each call is applied once."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.errors import PodiumError
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import EvalRecorded, Event
from podium.v1.recording_service_pb2 import RecordRequest, RecordResponse, StreamPosition
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium_server.store.sqlite import SqliteStore
from podium_server.testing import RunningServer

from tests.crash.durability.recorder import Faults, recording
from tests.crash.durability.rounds import content_of, rounds, send
from tests.crash.durability.writers import EVALUATED, begin, channel


@asynccontextmanager
async def _store(folder: Path, broken: list[bool]) -> AsyncIterator[tuple[SqliteStore, Faults]]:
    """Yields a store with three rounds, and the faults of its disk."""
    with recording([]) as faults:
        store = SqliteStore(folder / "podium.db", on_broken=lambda: broken.append(True))
        await store.open()
        for sent in rounds(seed=7, count=3):
            await send(store, sent)
        yield store, faults
        await store.close()


async def _reason(store: SqliteStore, number: int) -> str:
    with pytest.raises(PodiumError) as caught:
        await send(store, rounds(seed=7, count=10)[number])
    return caught.value.reason


async def test_a_full_disk_rejects_calls_and_changes_nothing(tmp_path: Path) -> None:
    """On a full disk, a call is rejected with STORAGE_FULL and changes nothing.

    When there is room again, the call succeeds.
    """
    broken: list[bool] = []
    async with _store(tmp_path, broken) as (store, faults):
        before = content_of(store._reading)
        faults.write = True

        assert await _reason(store, 3) == "STORAGE_FULL"
        assert content_of(store._reading) == before

        await send(store, rounds(seed=7, count=10)[3])
        assert content_of(store._reading) != before
        assert store._reading.pragma("integrity_check") == "ok"
    assert broken == []


async def test_after_a_failed_sync_nothing_is_answered(tmp_path: Path) -> None:
    """After a failed sync, every call gets OUTCOME_UNKNOWN, and `on_broken` is called once."""
    broken: list[bool] = []
    async with _store(tmp_path, broken) as (store, faults):
        faults.sync = True

        assert await _reason(store, 3) == "OUTCOME_UNKNOWN"
        assert await _reason(store, 4) == "OUTCOME_UNKNOWN"
        assert broken == [True]


class _FailingServer(RunningServer):
    """A server whose disk fails while there is a file `full` or `broken` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"sqlite:///{folder / 'podium.db'}", ("--log-level", "error"))

    def _command(self) -> list[str]:
        script = str(Path(__file__).with_name("failing.py"))
        return [sys.executable, script, str(self.folder), *super()._command()[3:]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_FailingServer]:
    """Yields a server with an experiment and an arm, at revision 2."""
    server = _FailingServer(tmp_path)
    begin(server.address, "disk")
    yield server
    (tmp_path / "broken").unlink(missing_ok=True)
    server.stop()


def _record(server: _FailingServer, sequence: int) -> RecordResponse:
    """Sends the event with a sequence number. Its row has this number as its step."""
    row = EvalResult(name="val", step=sequence, metrics={"value": sequence})
    request = RecordRequest(
        experiment="disk",
        events=[Event(eval_recorded=EvalRecorded(arm=EVALUATED, eval_result=row))],
        position=StreamPosition(writer_id="writer", first_sequence=sequence),
    )
    with channel(server.address) as connection:
        return RecordingServiceStub(connection).Record(request, timeout=120)


def _refused(server: _FailingServer, sequence: int) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        _record(server, sequence)
    error = from_rpc_error(caught.value)
    return error.code, error.reason


def test_a_server_on_a_full_disk_serves_again_when_there_is_room(server: _FailingServer) -> None:
    """On a full disk, a call gets RESOURCE_EXHAUSTED and changes nothing.

    When there is room again, the call is applied once.
    """
    assert _record(server, 1).revision == 3
    (server.folder / "full").touch()
    assert _refused(server, 2) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
    (server.folder / "full").unlink()

    answer = _record(server, 2)

    assert (answer.revision, answer.changed_events, answer.last_sequence) == (4, 1, 2)


@pytest.mark.slow
def test_a_failed_sync_ends_the_server(server: _FailingServer) -> None:
    """A failed sync ends the server with exit code 3. A call that is sent again is applied once."""
    assert _record(server, 1).revision == 3
    (server.folder / "broken").touch()
    assert _refused(server, 2) == ("UNAVAILABLE", "OUTCOME_UNKNOWN")
    assert server._wait() == 3
    (server.folder / "broken").unlink()
    server.start()

    answer = _record(server, 2)

    assert (answer.revision, answer.last_sequence) == (4, 2)
    assert answer.changed_events + answer.skipped_events == 1
    assert _record(server, 3).revision == 5
