"""What access control costs: the CPU time of the check of a token and its limits, for each call.

    python benchmarks/access.py

The best of many rounds counts, since other processes on the machine only add to the time.
"""

import asyncio
import time

from podium import TokenLimits
from podium_server.api.quotas import Quotas
from podium_server.api.tokens import new_row
from podium_server.rpc.access.tokens import Access
from podium_server.rpc.telemetry import Telemetry
from podium_server.store.tokens import Role, TokenRow

_ROUNDS, _CALLS = 30, 5_000
_EVAL = "podium.v1.ResultsService.Eval"
_LIMITS = TokenLimits(calls_per_second=10**9, calls=10**9, watches=10**9)


async def main() -> None:
    """Prints the time of a call's admission without and with tokens."""
    row, secret = new_row("t", Role.READER, ("bench",), None, _LIMITS)

    async def tokens() -> list[TokenRow]:
        return [row]

    off = await _micros(Access(tokens, is_on=False), [])
    limited = Quotas(total=TokenLimits(calls_per_second=10**9))
    on = await _micros(Access(tokens, is_on=True, quotas=limited), [f"Bearer {secret}"])
    print(f"{off:.2f} µs without tokens, {on:.2f} µs with a token and limits: +{on - off:.2f} µs")


async def _micros(access: Access, header: list[str]) -> float:
    """Returns the CPU time in microseconds."""
    telemetry, best = Telemetry(), float("inf")
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for _ in range(_CALLS):
            call = telemetry.call(_EVAL, "peer")
            await access.enter(_EVAL, lambda: header)
            call.release()
        best = min(best, time.process_time() - begin)
    return best / _CALLS * 1_000_000


if __name__ == "__main__":
    asyncio.run(main())
