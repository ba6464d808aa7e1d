"""`make bench`: measures the figures that Podium promises, and prints them as a table.

With --store, it can measure them over PostgreSQL. Figures that use no store, and comparisons with
SQLite, are then left out and named below the table. Comparisons with bare PostgreSQL, and of two
servers with one, are added.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass

import fronts
import postgres
import ranking
import reads
import recording
import startup
import writes
from figures import Figure, table
from podium_server.testing import running_server
from servers import echo_server
from stores import SQLITE, fill_store, stores

_LEFT_OUT = """
Left out, since they use no store: import podium; log_eval, server down.
Left out, since they compare with SQLite: Record of one row against raw SQLite commits; calls of 100
rows against raw SQLite."""
_QUIET = ("--log-level", "error")


def main() -> int:
    """Runs the benchmarks. Returns 1 if --strict is given and a target is missed, otherwise 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument(
        "--store",
        default=SQLITE,
        help="sqlite; postgres, which starts a PostgreSQL; or the postgresql:// URL of a database",
    )
    arguments = parser.parse_args()
    rounds, seconds, calls = (3, 1.0, 1_000) if arguments.quick else (5, 3.0, 5_000)
    is_sqlite = arguments.store == SQLITE
    with stores(arguments.store) as create:
        bench = _Bench(create, is_sqlite, rounds, seconds, calls)
        figures = bench.run()
    print(f"\n{platform.machine()}, {_cores()} cores, Python {platform.python_version()}\n")
    print(table(figures))
    if not is_sqlite:
        print(_LEFT_OUT)
    missed = any(figure.met is False for figure in figures)
    return 1 if missed and arguments.strict else 0


@dataclass(frozen=True)
class _Bench:
    """Measures all figures. `create` returns the URL of a new store, given its name."""

    create: Callable[[str], str]
    is_sqlite: bool
    rounds: int
    seconds: float
    calls: int

    def run(self) -> list[Figure]:
        """Measures all figures, and returns them."""
        _say("filling a store with 1,000,000 rows")
        large = self.create("large")
        fill_store(large)
        with echo_server() as echo:
            figures = [
                *self._starts(large),
                *self._reads(large, echo),
                *self._rankings(large, echo),
                *self._writes(echo),
            ]
        return figures if self.is_sqlite else [*figures, *self._postgres()]

    def _starts(self, large: str) -> list[Figure]:
        _say("imports and starts")
        figures = startup.imports(rounds=2 * self.rounds + 1) if self.is_sqlite else []
        figures.append(startup.start("empty store", self.create("empty"), rounds=self.rounds))
        figures.append(startup.start("1,000,000 rows", large, rounds=self.rounds))
        return figures

    def _reads(self, large: str, echo: str) -> list[Figure]:
        _say("reads")
        slices = int(self.rounds * self.seconds) + 4
        figures = list(fronts.measure_reads(large, echo, slices=slices, calls=self.calls))
        with running_server(large, *_QUIET, "--answer-cache", "0") as server:
            _say("memory")
            figures.append(startup.memory(server))
            figures += reads.scaling(server.address, calls=self.calls)
        return figures

    def _rankings(self, large: str, echo: str) -> list[Figure]:
        _say("rankings")
        figures = []
        with running_server(large, *_QUIET, "--answer-cache", "0") as server:
            figures += ranking.first_places(
                server.address, echo, how="read from the store", target=None, calls=self.calls
            )
            figures += ranking.groups(server.address, calls=self.calls)
            figures += ranking.matrix(
                server.address, how="read from the store", target=None, calls=self.calls
            )
        with running_server(large, *_QUIET) as server:
            figures += ranking.first_places(
                server.address, echo, how="asked again", target=1.3, calls=self.calls
            )
            figures += ranking.matrix(
                server.address, how="asked again", target=0.005, calls=self.calls
            )
        return figures

    def _writes(self, echo: str) -> list[Figure]:
        _say("writes")
        effort = writes.Effort(self.rounds, self.seconds, with_sqlite=self.is_sqlite)
        figures = list(fronts.measure_writes(self.create, echo, effort))
        with running_server(self.create("writes"), *_QUIET) as server:
            figures += writes.batches(server.address, effort)
            _say("the trainer's side")
            places = {"server up": server.address}
            if self.is_sqlite:
                places["server down"] = recording.NOBODY
            figures += recording.trainer_side(places, rounds=self.rounds)
        return figures

    def _postgres(self) -> list[Figure]:
        _say("PostgreSQL alone, and two servers")
        return postgres.measure(self.create("shared"), seconds=self.seconds, rounds=self.rounds)


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
