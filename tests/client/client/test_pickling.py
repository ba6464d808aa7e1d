"""Tests of pickled and copied clients and handles, which open their own connections."""

import asyncio
import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import podium
import pytest


@pytest.mark.slow
def test_a_handle_in_a_spawned_process(blocking: podium.Client, name: str) -> None:
    """A handle that has made calls works in another process to which it is sent.

    The original handle still works in this process.
    """
    blocking.experiment(name).declare()
    with blocking.experiment(name).start_arm(podium.RunConfig("a")) as run:
        run.log({"loss": 0.5})
    arm = blocking.arm(name, "a")
    assert arm.score("loss") == 0.5
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        scores = pool.map(podium.ArmHandle.score, [arm] * 3, ["loss"] * 3)
        assert list(scores) == [0.5, 0.5, 0.5]
    assert copy.deepcopy(run).score("loss") == 0.5
    assert arm.score("loss") == 0.5


def test_a_client_keeps_its_settings(blocking: podium.Client) -> None:
    """A pickled client keeps its address and timeouts, and has its own connection.

    A closed client cannot be pickled.
    """
    client = podium.Client(blocking.address, read_timeout=3, write_timeout=4)
    assert list(client.experiments(name_prefix="no such")) == []
    with pickle.loads(pickle.dumps(client)) as other:  # noqa: S301 - our own
        assert other.address == client.address
        assert other._connection._read_timeout == 3
        assert other._connection._write_timeout == 4
        client.close()
        assert list(other.experiments(name_prefix="no such")) == []
    for closed in (client, other):
        with pytest.raises(podium.ClientStateError, match="this client is closed"):
            pickle.dumps(closed)


def test_an_asynchronous_client_in_another_loop(blocking: podium.Client, name: str) -> None:
    """A copy of an asynchronous client can be used in another event loop."""
    blocking.experiment(name).declare()

    async def revision(client: podium.AsyncClient) -> int:
        async with client:
            found = await client.experiment(name).get()
            assert found.revision is not None
            return found.revision

    client = podium.AsyncClient(blocking.address)
    other = copy.deepcopy(client)
    assert [asyncio.run(revision(each)) for each in (client, other)] == [1, 1]
