"""Tests that a writer id belongs to the name of the token that first used it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import podium
import pytest
from podium import events
from podium_server.serve import tokens

from tests.server.access.serving import serving
from tests.stores import store_url

_DECLARED = [events.experiment_declared()]


class Served(NamedTuple):
    """A server, the URL of its store, and a token."""

    url: str
    address: str
    first: str

    async def token(self, name: str) -> str:
        """Creates a token with the role recorder, and returns it."""
        create = tokens.create
        return (await asyncio.to_thread(create, self.url, name, "recorder", (), None))[1]

    async def record(
        self, token: str, sequence: int, writer: str = "w", event_count: int = 1
    ) -> podium.RecordResult:
        """Declares an experiment with `event_count` events of a writer's stream, in one call."""
        async with podium.AsyncClient(self.address, token=token) as client:
            position = podium.StreamPosition(writer, sequence)
            return await client.record("x", _DECLARED * event_count, position)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Yields a server that requires tokens, with a token named `first`."""
    url = store_url(tmp_path)
    _, first = await asyncio.to_thread(tokens.create, url, "first", "recorder", (), None)
    async with serving(tmp_path, auth="tokens") as [address]:
        yield Served(url, address, first)


async def test_another_token_cannot_use_a_writer_id(served: Served) -> None:
    """If a token of another name uses a writer id, all events of the call are rejected.

    The rejections are not permanent. The error's metadata has only the writer id.
    """
    assert (await served.record(served.first, 1)).last_sequence == 1
    other = await served.token("other")
    for sequence, count in ((1, 1), (2, 2), (9, 1)):
        with pytest.raises(podium.FailedPreconditionError, match="another name") as caught:
            await served.record(other, sequence, event_count=count)
        assert caught.value.reason == "WRITER_TAKEN"
        assert caught.value.metadata == {"writer_id": "w"}
        assert [each.index for each in caught.value.refusals] == list(range(count))
        assert not any(each.permanent for each in caught.value.refusals)
    assert (await served.record(other, 1, writer="v")).last_sequence == 1
    assert (await served.record(served.first, 2)).last_sequence == 2


async def test_a_token_of_the_same_name_may_use_the_writer_id(served: Served) -> None:
    """A new token may use the writer id of an earlier token that has the same name."""
    await served.record(served.first, 1)
    assert (await served.record(await served.token("first"), 2)).last_sequence == 2


async def test_a_stream_from_before_tokens_gets_an_owner(tmp_path: Path) -> None:
    """A stream that began without tokens belongs to the first token that continues it.

    If the server later requires no tokens, everybody may use the writer id.
    """
    url = store_url(tmp_path)
    position = podium.StreamPosition("w", 1)
    async with serving(tmp_path) as [address], podium.AsyncClient(address) as client:
        await client.record("x", _DECLARED, position)
    created = [
        await asyncio.to_thread(tokens.create, url, name, "recorder", (), None)
        for name in ("a", "b")
    ]
    async with serving(tmp_path, auth="tokens") as [address]:
        served = Served(url, address, created[0][1])
        assert (await served.record(served.first, 2)).last_sequence == 2
        with pytest.raises(podium.FailedPreconditionError, match="another name"):
            await served.record(created[1][1], 3)
    async with serving(tmp_path, auth="none") as [address], podium.AsyncClient(address) as client:
        result = await client.record("x", _DECLARED, podium.StreamPosition("w", 3))
        assert result.last_sequence == 3
