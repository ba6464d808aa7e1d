"""A client in a process of its own that asks for a score again and again during an attack.

It shares neither the interpreter nor gRPC's threads with the attackers, so that the times of its
calls are those of the server.
"""

import json
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from podium._wire.status import from_rpc_error
from podium.v1.results_service_pb2 import ScoreRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub

__all__ = ["OtherClient"]

_SECONDS = 240.0
_PAUSE_SECONDS = 0.005
_FIRST_CALLS = 5
_LEAST_SECONDS = 1.0
_ROOT = Path(__file__).parents[3]


class OtherClient:
    """Asks the server at an address for a score every few milliseconds, until `end`.

    Attributes:
        seconds: The times of all calls in ascending order, after `end`.
        errors: The errors of calls, after `end`.
    """

    def __init__(self, address: str) -> None:
        self.seconds: list[float] = []
        self.errors: list[str] = []
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", __name__, address]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "asks\n"
        self._begin = time.monotonic()

    def end(self) -> None:
        """Ends the calls, and reads their times and errors.

        A short attack delays only the first calls. So the client makes calls for at least one
        second.
        """
        time.sleep(max(0.0, self._begin + _LEAST_SECONDS - time.monotonic()))
        out, _ = self._process.communicate("\n", 2 * _SECONDS)
        noted = json.loads(out)
        self.seconds, self.errors = sorted(noted["seconds"]), noted["errors"]

    def __str__(self) -> str:
        p99 = self.seconds[len(self.seconds) * 99 // 100]
        return (
            f"another client: {len(self.seconds)} calls, p99 {p99 * 1e3:.0f} ms, "
            f"longest {self.seconds[-1] * 1e3:.0f} ms"
        )


def _ask(stub: Any, errors: list[str]) -> float:
    begin = time.perf_counter()
    try:
        stub.Score(ScoreRequest(experiment="x", arm="a", metric="m"), timeout=_SECONDS)
    except grpc.RpcError as error:
        errors.append(str(from_rpc_error(error)))
    return time.perf_counter() - begin


def _main(address: str) -> None:
    errors: list[str] = []
    with grpc.insecure_channel(address) as channel:
        stub = ResultsServiceStub(channel)
        for _ in range(_FIRST_CALLS):
            _ask(stub, errors)
        sys.stdout.write("asks\n")
        sys.stdout.flush()
        seconds = [_ask(stub, errors)]
        while not _has_input():
            seconds.append(_ask(stub, errors))
    json.dump({"seconds": seconds, "errors": errors}, sys.stdout)


def _has_input() -> bool:
    """Waits for a moment. Returns whether the process must end."""
    return bool(select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0])


if __name__ == "__main__":
    _main(sys.argv[1])
