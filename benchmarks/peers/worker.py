"""Measures one tool, in the tool's own environment.

This module imports only the standard library, since the environment may have nothing else. A worker
reads orders from its input, one JSON object per line, and writes each answer as JSON. Every tool
gets the same rows. A formula gives their values, so answers can be checked.
"""

import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["ARMS", "METRICS", "TOP", "WRITERS", "Peer", "free_port", "serve", "value", "wait_until"]

ARMS, METRICS, WRITERS, TOP = 300, tuple(f"bench{number}.pass_rate" for number in range(31)), 32, 10
_START_SECONDS = 120
_STEPS = itertools.count(1)


def value(arm: int, metric: int) -> float:
    """Returns the number that an arm has for a metric."""
    return arm + metric / 32


class Peer:
    """A tool to measure.

    A subclass does not override the methods of operations that the tool lacks.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> None:
        """Starts the tool, and returns after its first answer."""
        raise NotImplementedError

    def begin(self) -> None:
        """Creates the runs for `write` and `log`."""

    def stop(self) -> None:
        """Stops what `start` started."""

    def fill(self) -> None:
        """Records ARMS finished runs, each with all METRICS."""
        raise NotImplementedError

    def read(self, arm: int) -> float:
        """Returns the value of METRICS[3] of one run."""
        raise NotImplementedError

    def top(self) -> list[str]:
        """Returns the names of the TOP runs by METRICS[0]."""
        raise NotImplementedError

    def matrix(self) -> float:
        """Reads all METRICS of all runs, and returns their sum."""
        raise NotImplementedError

    def batch(self, rows: int) -> None:
        """Records rows of one run in the fastest way, and returns when they are stored."""
        raise NotImplementedError

    def write(self, writer: int, step: int) -> None:
        """Records one row, and returns when the tool has stored it."""
        raise NotImplementedError

    def log(self, step: int) -> None:
        """Logs a row with two metrics in the way that a training loop does."""
        raise NotImplementedError

    def count(self) -> int:
        """Returns how many rows of `write` and `log` are stored."""
        raise NotImplementedError


def serve(tool: type[Peer]) -> None:
    """Executes orders until the input ends."""
    # Tools print to standard output. It is redirected to standard error, except for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = tool(Path(os.environ["PEERS_FOLDER"]))
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_answer(peer, **order)), file=answers, flush=True)


def _answer(peer: Peer, do: str, n: int = 1) -> dict[str, Any]:
    try:
        return {"seen": _ORDERS[do](peer, n)}
    except NotImplementedError:
        return {"seen": None}
    except Exception as error:  # noqa: BLE001 (the table says what a tool failed with)
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _start(peer: Peer, _: int) -> float:
    seconds = _seconds(peer.start)
    peer.begin()
    return seconds


def _read(peer: Peer, calls: int) -> float:
    def once(arm: int) -> None:
        if peer.read(arm) != value(arm, 3):
            raise RuntimeError(f"a wrong answer for arm {arm}")

    return _median(once, [call * 7 % ARMS for call in range(calls)])


def _top(peer: Peer, calls: int) -> float:
    best = [f"arm{ARMS - 1 - place}" for place in range(TOP)]

    def once(_: int) -> None:
        if (seen := peer.top()) != best:
            raise RuntimeError(f"a wrong ranking: {seen}")

    return _median(once, range(calls))


def _matrix(peer: Peer, calls: int) -> float:
    total = sum(value(arm, metric) for arm in range(ARMS) for metric in range(len(METRICS)))

    def once(_: int) -> None:
        if (seen := peer.matrix()) != total:
            raise RuntimeError(f"a wrong matrix: its sum is {seen}")

    return _median(once, range(calls))


def _new_steps(calls: int) -> Iterable[int]:
    """Returns steps that no row has yet, since a tool may do less work for a row that it has."""
    return itertools.islice(_STEPS, calls)


def _write(peer: Peer, calls: int) -> float:
    return _median(lambda step: peer.write(0, step), _new_steps(calls))


def _log(peer: Peer, calls: int) -> float:
    return _median(peer.log, _new_steps(calls))


def _median(call: Callable[[int], None], steps: Any) -> float:
    return median(_seconds(lambda step=step: call(step)) for step in steps)  # type: ignore[misc]


def _writers(peer: Peer, calls: int) -> float:
    """Returns the rows per second that WRITERS threads write, with one row in each call."""
    steps = list(_new_steps(calls))

    def work(writer: int) -> None:
        for step in steps:
            peer.write(writer, step)

    with ThreadPoolExecutor(WRITERS) as threads:
        seconds = _seconds(lambda: list(threads.map(work, range(WRITERS))))
    return WRITERS * calls / seconds


_ORDERS: dict[str, Callable[[Peer, int], Any]] = {
    "start": _start,
    "fill": lambda peer, _: _seconds(peer.fill),
    "read": _read,
    "top": _top,
    "matrix": _matrix,
    "batch": lambda peer, rows: _seconds(lambda: peer.batch(rows)),
    "write": _write,
    "writers": _writers,
    "log": _log,
    "count": lambda peer, _: peer.count(),
    "stop": lambda peer, _: peer.stop(),
}


def free_port() -> int:
    """Returns a port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(answers: Callable[[], object]) -> None:
    """Calls `answers` until it raises no error. After two minutes, raises its last error."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            answers()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
