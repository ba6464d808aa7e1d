"""What access control costs: the server's CPU of a call with the check of a token and its limits.

    python benchmarks/access.py

Both servers answer Eval from stores with the same results, in turns. The CPU's time counts, not the
clock's: other processes on the machine change it little.
"""

import asyncio
import itertools
import tempfile
from pathlib import Path
from statistics import median

from caches import cpu_seconds
from data import MEDIUM, MEDIUM_ARMS, eval_request, fill_experiments
from podium import TokenLimits
from podium_server.serve import tokens
from podium_server.testing import RunningServer, running_server
from wire import drive

_ROUNDS, _SECONDS, _CONNECTIONS = 15, 1.0, 16
_EVAL = "/podium.v1.ResultsService/Eval"
_MUCH = 1_000_000_000
_LIMITS = {
    "calls_per_second": _MUCH,
    "calls": _MUCH,
    "watches": _MUCH,
    "events_per_second": _MUCH,
    "bytes_per_second": _MUCH,
}


def main() -> None:
    """Prints the cost of a call without access control, and what the check and limits add."""
    with tempfile.TemporaryDirectory() as folder:
        stores = [Path(folder) / name for name in ("without.db", "with.db")]
        for store in stores:
            asyncio.run(fill_experiments(store, {MEDIUM: MEDIUM_ARMS}))
        without, checked = (f"sqlite:///{store}" for store in stores)
        limits = TokenLimits(**_LIMITS)
        _, token = tokens.create(checked, "t", "reader", (MEDIUM,), None, limits)
        with running_server(without) as off, running_server(checked) as on:
            seen = [(_micros(off, None), _micros(on, token)) for _ in range(_ROUNDS)]
        before, after = map(median, zip(*seen, strict=True))
        share = median(one / other for other, one in seen) - 1
        print(f"Eval: {before:.1f} µs without tokens, {after:.1f} µs with them: {share:+.1%}")


def _micros(server: RunningServer, token: str | None) -> float:
    """Returns the CPU time of a call, in microseconds."""
    asked = [[eval_request(MEDIUM, 0)]] * _CONNECTIONS
    begin = cpu_seconds(server.process.pid)
    load = drive(server.address, _EVAL, list(map(itertools.cycle, asked)), _SECONDS, token=token)
    return (cpu_seconds(server.process.pid) - begin) / load.calls * 1_000_000


if __name__ == "__main__":
    main()
