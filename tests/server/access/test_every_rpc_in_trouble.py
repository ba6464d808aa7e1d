"""Every rpc with every kind of token while the server is full, stops, or has too much to do."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import podium
import pytest
from podium import TokenLimits
from podium.errors import PodiumError
from podium_server.api import quotas
from podium_server.rpc import admission as admission_module
from podium_server.rpc.access import tokens as access_tokens
from podium_server.rpc.admission import Admission
from podium_server.serve import server
from podium_server.store.tokens import Role

from tests.crash.durability.failing import FailingVfs
from tests.server.access.serving import serving
from tests.server.access.test_every_rpc import (
    CASES,
    RPCS,
    Case,
    Store,
    ask,
    expected,
    names_of,
    new_store,
    record,
)
from tests.server.store.places import new_place
from tests.sparse import sparse
from tests.stores import only_sqlite

WRITES = {"Record", "DeleteArm", "DeleteExperiment", "CreateToken"}
"""The rpcs whose requests in the cases need room on the disk if they are allowed."""
BUSY = ("RESOURCE_EXHAUSTED", "OVERLOADED")
STOPPING = ("UNAVAILABLE", "SHUTTING_DOWN")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that the tests of this module serve one after the other."""
    return new_store(tmp_path_factory.mktemp("store"))


class Served(NamedTuple):
    """A server in which the experiments are recorded, and what decides about its calls."""

    channel: grpc.aio.Channel
    admission: Admission
    admin: podium.AsyncClient


@asynccontextmanager
async def served(
    store: Store, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Served]:
    """Serves the store. Nothing of it may have changed when the block ends."""
    # Most calls are guesses, which otherwise wait for each other.
    monkeypatch.setattr(access_tokens, "_PAUSE_SECONDS", 0.0)
    made: list[Admission] = []

    def admission(limits: admission_module.AdmissionLimits) -> Admission:
        made.append(Admission(limits))
        return made[0]

    monkeypatch.setattr(server, "Admission", admission)
    async with (
        serving(store.folder, auth="tokens", **settings) as [address],
        podium.AsyncClient(address, token=store.admin, read_timeout=60) as admin,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await record(admin)
        before = new_place(store.folder).dump()
        yield Served(channel, made[0], admin)
        assert new_place(store.folder).dump() == before


async def check(
    store: Store,
    channel: grpc.aio.Channel,
    every: int,
    answer_of: Callable[[str, Case, tuple[str, str]], tuple[str, str]],
) -> None:
    """Makes every call, or each so many of them. A refusal tells nothing about any name.

    Args:
        store: The tokens.
        channel: A connection to the server.
        every: How many cases there are for each that is tried.
        answer_of: Returns the code and reason that an rpc should answer to a case, from those that
            it has when all is well.
    """
    texts: dict[tuple[str, str, str], set[str]] = {}
    cases = itertools.product(RPCS.values(), store.cases)
    for rpc, case in itertools.islice(cases, 0, None, every):
        for name, exists in names_of(rpc.name):
            answer = await ask(channel, rpc, case, name)
            right = answer_of(rpc.name, case, expected(rpc.name, case, exists=exists))
            assert answer[:2] == right, (rpc.name, case, name)
            if answer.code in {"NOT_FOUND", *BUSY, *STOPPING}:
                kind = (rpc.name, *answer[:2])
                texts.setdefault(kind, set()).add(answer.text.replace(name, "NAME"))
    assert texts
    assert all(len(found) == 1 for found in texts.values()), texts


SOME = pytest.mark.parametrize("every", sparse([17, 1]), ids=["some", "all"])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder; as long as it has a file `full`, nothing more fits on the disk of any store."""
    vfs = FailingVfs(tmp_path)
    yield tmp_path
    vfs.unregister()


@only_sqlite
@SOME
async def test_a_full_disk(
    every: int, store: Store, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads and refusals are as ever; a write that is allowed is STORAGE_FULL."""

    def answer_of(rpc: str, _case: Case, right: tuple[str, str]) -> tuple[str, str]:
        is_write = rpc in WRITES and right[0] == "OK"
        return ("RESOURCE_EXHAUSTED", "STORAGE_FULL") if is_write else right

    declaration = {"experimentDeclared": {"hypothesis": "new"}}
    monkeypatch.setitem(CASES, "Record", (Role.RECORDER, {"events": [declaration]}))
    async with served(store, monkeypatch) as each:
        await asyncio.to_thread((disk / "full").touch)
        await check(store, each.channel, every, answer_of)
        await asyncio.to_thread((disk / "full").unlink)


@SOME
async def test_draining(every: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a call under way ends, every other call is refused before its token is read."""
    async with served(store, monkeypatch) as each:
        held = each.admission.enter("somebody", _no_abort)
        closing = asyncio.create_task(each.admission.close(600))
        await asyncio.sleep(0)
        await check(store, each.channel, every, lambda *_: STOPPING)
        held.leave()
        await closing


@SOME
async def test_too_many_calls(every: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """If others have taken all places, every call is refused before its token is read."""
    monkeypatch.setattr(admission_module, "_CALLS_OF_EACH", 0)
    async with served(store, monkeypatch) as each:
        calls = each.admission.calls
        while calls.used:  # noqa: ASYNC110 - the last call ends when its response is sent
            await asyncio.sleep(0.01)
        assert calls.take("others", calls.capacity)
        await check(store, each.channel, every, lambda *_: BUSY)
        calls.give_back("others", calls.capacity)


@SOME
async def test_too_many_calls_a_second(
    every: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger still learns only that the token is not valid; everybody else has to wait."""
    readings, frozen = itertools.count(0.0, 10.0), False
    monkeypatch.setattr(quotas, "_clock", lambda: 1e9 if frozen else next(readings))

    def answer_of(_rpc: str, case: Case, right: tuple[str, str]) -> tuple[str, str]:
        return BUSY if case.state == "good" else right

    total = TokenLimits(calls_per_second=1)
    async with served(store, monkeypatch, total_limits=total) as each:
        frozen = True
        for _ in range(2):
            await each.admin.whoami()
        await check(store, each.channel, every, answer_of)
        frozen = False


async def _no_abort(_error: PodiumError) -> None:
    """Ends no call, since there is none behind the place that the test takes."""
