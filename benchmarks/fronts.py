"""Measures reads and writes for each front that is installed."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import reads
import writes
from figures import Figure
from podium_server.testing import running_server

__all__ = ["measure_reads", "measure_writes"]


class _Front(NamedTuple):
    """A front, and its targets relative to the echo server."""

    name: str
    throughput: float
    latency: float
    writes: float


_FRONTS = (_Front("grpcio", 0.85, 1.10, 0.55), _Front("native", 2.5, 0.75, 0.8))


def measure_reads(store: Path, echo: str, *, slices: int, calls: int) -> Iterator[Figure]:
    """Measures Eval and Score of a filled store, without a cache."""
    for front in _installed():
        options = ("--log-level", "error", "--answer-cache", "0", "--front", front.name)
        with running_server(f"sqlite:///{store}", *options) as server:
            yield from reads.throughput(
                server.address, echo, how=front.name, target=front.throughput, slices=slices
            )
            yield from reads.latency(
                server.address, echo, how=front.name, target=front.latency, calls=calls
            )


def measure_writes(folder: Path, echo: str, *, seconds: float, rounds: int) -> Iterator[Figure]:
    """Measures calls of one row from many writers."""
    for front in _installed():
        options = ("--log-level", "error", "--front", front.name)
        with running_server(f"sqlite:///{folder / front.name}.db", *options) as server:
            yield from writes.single_rows(
                server.address,
                echo,
                how=front.name,
                target=front.writes,
                seconds=seconds,
                rounds=rounds,
            )


def _installed() -> list[_Front]:
    return [front for front in _FRONTS if front.name == "grpcio" or find_spec("podium_front")]
