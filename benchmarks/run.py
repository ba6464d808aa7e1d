"""`make bench`: measures the figures that Podium promises, and prints them as a table."""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import fronts
import ranking
import reads
import recording
import startup
import writes
from data import fill
from figures import Figure, table
from podium_server.testing import running_server
from servers import echo_server


def main() -> int:
    """Runs the benchmarks. Returns 1 if a target was missed and --strict was given, or else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, noisier figures")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target is missed")
    arguments = parser.parse_args()
    rounds, seconds, calls = (3, 1.0, 1_000) if arguments.quick else (5, 3.0, 5_000)
    with tempfile.TemporaryDirectory() as folder:
        figures = _measure(Path(folder), rounds, seconds, calls)
    print(f"\n{platform.machine()}, {_cores()} cores, Python {platform.python_version()}\n")
    print(table(figures))
    missed = any(figure.met is False for figure in figures)
    return 1 if missed and arguments.strict else 0


def _measure(folder: Path, rounds: int, seconds: float, calls: int) -> list[Figure]:
    _say("filling a store with 1,000,000 rows")
    large = folder / "large.db"
    fill(large)
    _say("imports and starts")
    figures = startup.imports(rounds=2 * rounds + 1)
    figures.append(startup.start("empty store", folder / "empty.db", rounds=rounds))
    figures.append(startup.start("1,000,000 rows", large, rounds=rounds))
    quiet = ("--log-level", "error")
    slices = int(rounds * seconds) + 4
    with echo_server() as echo:
        _say("reads")
        figures += fronts.measure_reads(large, echo, slices=slices, calls=calls)
        with running_server(f"sqlite:///{large}", *quiet, "--answer-cache", "0") as server:
            _say("memory")
            figures.append(startup.memory(server))
            figures += reads.scaling(server.address, calls=calls)
            _say("rankings")
            figures += ranking.first_places(
                server.address, echo, how="read from the store", target=None, calls=calls
            )
            figures += ranking.groups(server.address, calls=calls)
            figures += ranking.matrix(
                server.address, how="read from the store", target=None, calls=calls
            )
        with running_server(f"sqlite:///{large}", *quiet) as server:
            figures += ranking.first_places(
                server.address, echo, how="asked again", target=1.3, calls=calls
            )
            figures += ranking.matrix(server.address, how="asked again", target=0.005, calls=calls)
        _say("writes")
        figures += fronts.measure_writes(folder, echo, seconds=seconds, rounds=rounds)
        with running_server(f"sqlite:///{folder / 'writes.db'}", *quiet) as server:
            figures += writes.batches(server.address, seconds=seconds, rounds=rounds)
            _say("the trainer's side")
            figures += recording.trainer_side(server.address, rounds=rounds)
    return figures


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    sys.exit(main())
