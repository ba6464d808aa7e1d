"""Measures how many calls a server answers per second of CPU time, with and without its caches.

    python benchmarks/caches.py

A cache that makes calls less than 1.3 times as fast is not worth its code. CPU time is measured
instead of elapsed time, since other processes on the machine affect it little.
"""

import asyncio
import itertools
import os
import tempfile
from pathlib import Path
from statistics import median

from data import (
    MATRIX,
    MATRIX_ARMS,
    MEDIUM,
    MEDIUM_ARMS,
    fill_experiments,
    rank_request,
    scores_request,
)
from podium_server.testing import RunningServer, running_server
from wire import drive

_ROUNDS, _SECONDS, _CONNECTIONS = 7, 1.0, 8
_SERVICE = "/podium.v1.ResultsService"
_QUESTIONS = {
    "Rank": [rank_request(MEDIUM)],
    "Rank by group": [rank_request(MEDIUM, by_group=True)],
    "Scores": [scores_request()],
}


def main() -> None:
    """Prints a line for each kind of call."""
    with tempfile.TemporaryDirectory() as folder:
        stores = [Path(folder) / name for name in ("without.db", "with.db")]
        for store in stores:
            asyncio.run(fill_experiments(store, {MEDIUM: MEDIUM_ARMS, MATRIX: MATRIX_ARMS}))
        without, kept = (f"sqlite:///{store}" for store in stores)
        with running_server(without, "--answer-cache", "0") as off, running_server(kept) as on:
            for name in _QUESTIONS:
                seen = [(_rate(off, name), _rate(on, name)) for _ in range(_ROUNDS)]
                before, after = map(median, zip(*seen, strict=True))
                print(f"{name}: {after / before:.2f} times ({before:,.0f} and {after:,.0f} calls)")


def _rate(server: RunningServer, name: str) -> float:
    """Returns how many calls the server answers per second of its CPU time."""
    path, bodies = f"{_SERVICE}/{name.split(maxsplit=1)[0]}", _QUESTIONS[name]
    asked = [bodies] * _CONNECTIONS
    begin = _cpu_seconds(server.process.pid)
    load = drive(server.address, path, list(map(itertools.cycle, asked)), _SECONDS)
    return load.calls / (_cpu_seconds(server.process.pid) - begin)


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
