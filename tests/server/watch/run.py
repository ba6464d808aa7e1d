"""`python -m tests.server.watch.run` runs long histories of watches over the network.

The exit code is 1 if a watch violated a guarantee, or if a planted defect was not found.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.server.watch.built import BuiltHistory
from tests.server.watch.network import NetworkHistory
from tests.server.watch.planted import PLANTS
from tests.server.watch.servers import NetworkServer

_RESTART_EVERY, _RESTORE_EVERY = 11, 37
_PATIENCE = 5.0


async def _history(seed: int, watches: int, cuts: int, calls: int) -> list[str]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        history = NetworkHistory(Path(folder), seed, watches, cuts=cuts)
        found = await history.run(calls, restart_every=_RESTART_EVERY, restore_every=_RESTORE_EVERY)
    seconds = time.monotonic() - began
    _say(f"seed {seed}: {watches} watches, {history.counts}, {seconds:.0f} s: {len(found)} wrong")
    return found


async def _planted(name: str) -> list[str]:
    """Runs the history of `BuiltHistory` with a defect."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "podium.db"
        found = await BuiltHistory(NetworkServer(file, name), file, patience=_PATIENCE).run()
    _say(f"{name}: {found[0] if found else 'NOT FOUND'}")
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _main(given: argparse.Namespace) -> int:
    wrong = []
    for seed in range(given.seed, given.seed + given.histories):
        wrong += await _history(seed, given.watches, given.cuts, given.calls)
    for violation in wrong:
        _say(violation)
    names = list(PLANTS) if given.plants else []
    found = [name for name in names if await _planted(name)]
    _say(f"{len(wrong)} violations; {len(found)} of {len(names)} defects found")
    return int(bool(wrong) or len(found) < len(names))


def main() -> int:
    """Runs histories. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--histories", type=int, default=3)
    parser.add_argument("--watches", type=int, default=20)
    parser.add_argument("--cuts", type=int, default=100, help="the least cuts of each watch")
    parser.add_argument("--calls", type=int, default=150, help="the least calls of a history")
    parser.add_argument("--plants", action="store_true", help="also look for planted defects")
    return asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
