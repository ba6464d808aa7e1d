"""Tests of clients in forked processes: a used client raises an error at once."""

import subprocess
import sys

import pytest
from podium_server.testing import RunningServer

from tests.sparse import sparse

# Forks while other threads make calls. The child then ends like any Python program.
_SCRIPT = """
import gc, os, sys, threading
import podium

def call(client):
    try:
        client.experiment("fork").get()
    except podium.ClientStateError as error:
        assert str(os.getppid()) in str(error) and str(os.getpid()) in str(error), error
        return "refused"
    return "answered"

address = sys.argv[1]
client = podium.Client(address)
fresh = podium.Client(address)
client.experiment("fork").declare()
busy = [threading.Thread(target=lambda: [call(client) for _ in range(200)]) for _ in range(2)]
for thread in busy:
    thread.start()
child = os.fork()
if child == 0:
    with client:
        assert call(client) == "refused"
    del client
    gc.collect()
    sys.exit(7)
for thread in busy:
    thread.join()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert call(client) == "answered"
client.close()
"""

_UNUSED = """
import os, sys
import podium

client = podium.Client(sys.argv[1])
child = os.fork()
if child == 0:
    client.experiment("fork_unused").declare()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert client.experiment("fork_unused").get().name == "fork_unused"
"""

_ASYNC = """
import asyncio, os, sys
import podium

async def main():
    client = podium.AsyncClient(sys.argv[1])
    await client.experiment("fork_async").declare()
    child = os.fork()
    if child == 0:
        try:
            await client.experiment("fork_async").get()
        except podium.ClientStateError:
            await client.close()
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    await client.close()

asyncio.run(main())
"""

_FOLLOWED = """
import os, sys
import podium

with podium.Client(sys.argv[1]) as client:
    experiment = client.experiment("fork_followed")
    experiment.declare()
    with experiment.follow() as live:
        child = os.fork()
        if child == 0:
            try:
                live.wait_for(live.revision + 1)
            except podium.ClientStateError as error:
                assert str(os.getppid()) in str(error) and "follow()" in str(error), error
                sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        experiment.declare(hypothesis="h")
        live.wait_until(lambda state: state.experiment.hypothesis == "h")
"""


@pytest.mark.parametrize(
    "script",
    sparse([_SCRIPT, _UNUSED, _ASYNC, _FOLLOWED]),
    ids=["used", "unused", "asyncio", "followed"],
)
def test_a_fork(server: RunningServer, script: str) -> None:
    """A client that was used before a fork raises an error in the child, and does not hang.

    A client that was not used works in the child.
    """
    command = [sys.executable, "-c", script, server.address]
    done = subprocess.run(command, timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
