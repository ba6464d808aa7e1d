"""Tests of every rpc with every kind of token while the server is in trouble.

The disk is full, the server is stopping, or it has too many calls.
"""

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
"""The rpcs whose requests in CASES write to the disk if they are allowed."""
BUSY = ("RESOURCE_EXHAUSTED", "OVERLOADED")
STOPPING = ("UNAVAILABLE", "SHUTTING_DOWN")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Returns a store with a token of every kind, which all tests of this module serve."""
    return new_store(tmp_path_factory.mktemp("store"))


class Served(NamedTuple):
    """A connection to a server, the server's admission, and the client of an administrator."""

    channel: grpc.aio.Channel
    admission: Admission
    admin: podium.AsyncClient


@asynccontextmanager
async def served(
    store: Store, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Served]:
    """Serves the store inside the block, and asserts that the block has not changed it."""
    # Most calls have invalid tokens. Their checks would otherwise wait for each other.
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
    """Checks the answers to calls of each rpc with each kind of token, or to some of them.

    The text of an error must not depend on the name of the experiment.

    Args:
        store: The store with the tokens.
        channel: A connection to the server.
        every: Of this many pairs of rpc and token, one is checked. If it is 1, all are checked.
        answer_of: Returns the code and reason that a call must get. Its arguments are the rpc,
            the case, and the code and reason that a server without trouble would return.
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
    """Yields a folder. While it has a file `full`, every store finds the disk full."""
    vfs = FailingVfs(tmp_path)
    yield tmp_path
    vfs.unregister()


@only_sqlite
@SOME
async def test_a_full_disk(
    every: int, store: Store, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, allowed writes get STORAGE_FULL. All other calls are answered as usual."""

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
    """While the server waits for a running call, it rejects all other calls as SHUTTING_DOWN.

    The answer does not depend on the token, since the server does not read it.
    """
    async with served(store, monkeypatch) as each:
        held = each.admission.enter("somebody", _no_abort)
        closing = asyncio.create_task(each.admission.close(600))
        await asyncio.sleep(0)
        await check(store, each.channel, every, lambda *_: STOPPING)
        held.leave()
        await closing


@SOME
async def test_too_many_calls(every: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """If others have taken all places for calls, every call is rejected as OVERLOADED.

    The answer does not depend on the token, since the server does not read it.
    """
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
    """Above the total limit of calls a second, calls with a valid token get OVERLOADED.

    Calls without a valid token get UNAUTHENTICATED, as usual.
    """
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
    """Does nothing: the place that the test takes belongs to no call."""
