"""Tests of failed starts of a server: the folder of its store stays as it was."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import podium
import pytest
from podium._limits.limits import Limits
from podium.v1.recording_service_pb2 import RecordRequest
from podium_server.rpc.audit import AuditError
from podium_server.rpc.fronts.ports import ListenError
from podium_server.serve.server import running
from podium_server.serve.settings import Settings
from podium_server.store.contract import StoreError
from podium_server.store.open import open_store
from podium_server.store.sqlite import schema
from podium_server.testing.calls import declared

from tests.server.writes.ways import Direct

_FREE = "127.0.0.1:0"


@pytest.fixture
def taken() -> Iterator[str]:
    """Yields an address on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Returns settings with a store and an audit log in the test's folder."""
    store, audit = f"sqlite:///{tmp_path / 'podium.db'}", tmp_path / "audit.jsonl"
    return Settings(listen=(_FREE,), store=store, audit=audit)


async def _fails(settings: Settings, error: type[Exception]) -> None:
    with pytest.raises(error):
        async with running(settings, asyncio.Event()):
            pass


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("first", [(), (_FREE,), ("unix:",)], ids=["alone", "port", "socket"])
async def test_an_address_that_is_taken(
    settings: Settings, taken: str, first: tuple[str, ...], tmp_path: Path
) -> None:
    """If one of the addresses is taken, the failed start leaves no file or socket in the folder."""
    bound = tuple(item.replace("unix:", f"unix:{tmp_path / 's.sock'}") for item in first)
    await _fails(replace(settings, listen=(*bound, taken)), ListenError)
    await _fails(replace(settings, listen=(*bound, _FREE), http=(_FREE, taken)), ListenError)
    assert _files(tmp_path) == {}


async def test_other_causes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the audit log or the store cannot be written, the failed start leaves no file."""
    await _fails(replace(settings, audit=tmp_path / "none" / "audit"), AuditError)

    def fail(_connection: apsw.Connection) -> None:
        raise apsw.FullError("the disk is full")

    monkeypatch.setattr(schema, "migrate", fail)
    await _fails(settings, StoreError)
    assert _files(tmp_path) == {}


async def test_an_earlier_store_is_kept(settings: Settings, taken: str, tmp_path: Path) -> None:
    """A failed start removes no file of an earlier server, whose results can still be read."""
    async with (
        running(settings, asyncio.Event()) as [address],
        podium.AsyncClient(address) as client,
    ):
        await client.experiment("x").declare(overwrite=True)
    before = _files(tmp_path)
    assert set(before) == {"podium.db", "podium.db.lock", "audit.jsonl"}
    await _fails(replace(settings, listen=(taken,)), ListenError)
    assert set(_files(tmp_path)) == set(before)
    async with (
        running(settings, asyncio.Event()) as [address],
        podium.AsyncClient(address) as client,
    ):
        assert [found.name for found in await client.experiments()] == ["x"]


async def test_a_store_in_which_a_call_was_recorded_is_kept(tmp_path: Path) -> None:
    """`discard` removes the files of a new store, unless a call has been recorded in it."""
    url = f"sqlite:///{tmp_path / 'podium.db'}"
    for stored, left in ((False, set[str]()), (True, {"podium.db", "podium.db.lock"})):
        store = await open_store(url)
        if stored:
            request = RecordRequest(experiment="x", events=[declared()])
            await Direct(store, Limits()).call("Record", request)
        await store.discard()
        assert set(_files(tmp_path)) == left


async def test_a_server_that_uses_the_store(settings: Settings, tmp_path: Path) -> None:
    """If a second server starts on the store of a running one, it fails and removes no file."""
    async with running(settings, asyncio.Event()) as [address]:
        await _fails(settings, StoreError)
        assert {"podium.db", "podium.db-wal", "podium.db.lock"} <= set(_files(tmp_path))
        async with podium.AsyncClient(address) as client:
            await client.experiment("x").declare()
            assert len(await client.experiments()) == 1
