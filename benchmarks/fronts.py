"""Measures reads and writes for each front that is installed."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple

import reads
import writes
from figures import Figure
from podium_server.testing import running_server

__all__ = ["measure_reads", "measure_writes"]


class _Front(NamedTuple):
    """A front (gRPC server) of Podium, and its targets relative to the echo server's figures."""

    name: str
    throughput: float
    latency: float
    writes: float


_FRONTS = (_Front("grpcio", 0.85, 1.10, 0.55), _Front("native", 2.5, 0.75, 0.8))


def measure_reads(store: str, echo: str, *, slices: int, calls: int) -> Iterator[Figure]:
    """Measures Eval and Score on a filled store, without the answer cache."""
    for front in _installed():
        options = ("--log-level", "error", "--answer-cache", "0", "--front", front.name)
        with running_server(store, *options) as server:
            yield from reads.throughput(
                server.address, echo, how=front.name, target=front.throughput, slices=slices
            )
            yield from reads.latency(
                server.address, echo, how=front.name, target=front.latency, calls=calls
            )


def measure_writes(
    create: Callable[[str], str], echo: str, effort: writes.Effort
) -> Iterator[Figure]:
    """Measures calls that record one row, from many writers.

    `create` returns the URL of a new store.
    """
    for front in _installed():
        options = ("--log-level", "error", "--front", front.name)
        with running_server(create(front.name), *options) as server:
            yield from writes.single_rows(
                server.address, echo, effort, how=front.name, target=front.writes
            )


def _installed() -> list[_Front]:
    return [front for front in _FRONTS if front.name == "grpcio" or find_spec("podium_front")]
