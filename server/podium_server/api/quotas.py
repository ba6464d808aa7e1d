"""Quotas: limits on the calls and stored rows of each token, and of all callers together."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from podium._model.access import TokenLimits
from podium.errors import PodiumError

from podium_server.api.row_quotas import CountRows, RowQuota
from podium_server.errors import RETRY_SECONDS, failure, overloaded
from podium_server.store.tokens import TokenRow

__all__ = ["UNLIMITED", "Quotas", "Usage"]

_clock = time.monotonic
_BURST_SECONDS = 1.0
"""The seconds of a burst.

After a pause, a caller may at once use the amount that its limit allows in this time.
"""
_ROUNDING = 1e-6
_UNITS: Mapping[str, str] = {
    "calls_per_second": "calls a second",
    "calls": "calls at a time",
    "watches": "watches at a time",
    "events_per_second": "recorded events a second",
    "bytes_per_second": "recorded bytes a second",
}
_RATES = ("calls_per_second", "events_per_second", "bytes_per_second")


class _Rate:
    """Limits an amount per second with the algorithm called token bucket.

    Any amount can be taken unless the bucket is overdrawn. So a single large call passes, and later
    calls are rejected until the bucket is no longer overdrawn.

    Args:
        number: The limit, as an amount per second.
        owner: The name of the limited access token; None for the limit of all callers together.
        name: The name of the limit.

    Attributes:
        full_at: The time at which the bucket is full again.
        seconds: The seconds in which an amount of 1 flows into the bucket.
    """

    __slots__ = ("_name", "_number", "_owner", "full_at", "seconds")

    def __init__(self, number: int, owner: str | None, name: str) -> None:
        self._number, self._owner, self._name = number, owner, name
        self.full_at = 0.0
        self.seconds = 1 / number

    def check(self, now: float) -> None:
        """Raises QUOTA_EXCEEDED or OVERLOADED if the bucket is overdrawn."""
        wait = self.full_at - now - _BURST_SECONDS
        if wait > _ROUNDING:
            raise _exceeded(self._owner, self._name, self._number, wait)

    def take(self, amount: int, now: float) -> None:
        """Takes an amount, even if that overdraws the bucket."""
        self.full_at = max(self.full_at, now) + amount * self.seconds


class Usage:
    """Counts what the calls of one token use. Each server counts only its own calls.

    Args:
        limits: The limits of the token.
        owner: The name of the token; None for all callers together.
        total: The usage of all callers together. None if this object counts them.
        rows: Counts and limits the token's stored rows. None if rows are not counted.

    Attributes:
        row_quotas: The limits of stored rows that apply to the token's calls.
    """

    __slots__ = (
        "_call_rates", "_calls", "_limits", "_most_calls", "_owner", "_rates", "_watches",
        "row_quotas", "rows",
    )  # fmt: skip

    def __init__(
        self,
        limits: TokenLimits,
        owner: str | None = None,
        total: "Usage | None" = None,
        rows: RowQuota | None = None,
    ) -> None:
        self._limits, self._owner, self.rows = limits, owner, rows
        own = () if rows is None or rows.limit is None else (rows,)
        self.row_quotas: tuple[RowQuota, ...] = own + (() if total is None else total.row_quotas)
        self._calls = self._watches = 0
        self._most_calls = math.inf if limits.calls is None else limits.calls
        self._rates = {name: self._rates_of(name, total) for name in _RATES}
        self._call_rates = self._rates["calls_per_second"]

    def _rates_of(self, name: str, total: "Usage | None") -> tuple[_Rate, ...]:
        number = getattr(self._limits, name)
        own = () if number is None else (_Rate(number, self._owner, name),)
        return own if total is None else own + total._rates[name]  # noqa: SLF001 - its own kind

    def enter(self) -> None:
        """Begins a call. Raises QUOTA_EXCEEDED or OVERLOADED if the call exceeds a limit."""
        # Every call runs this, so it calls few functions.
        if self._calls >= self._most_calls:
            self._check("calls", self._calls, self._limits.calls)
        if self._call_rates:
            now = _clock()
            for rate in self._call_rates:
                if rate.full_at > now:
                    rate.check(now)
                else:
                    rate.full_at = now
            for rate in self._call_rates:
                rate.full_at += rate.seconds
        self._calls += 1

    def leave(self) -> None:
        """Ends a call."""
        self._calls -= 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts a call as a watch inside the block.

        Raises QUOTA_EXCEEDED or OVERLOADED if there are too many watches.
        """
        self._check("watches", self._watches, self._limits.watches)
        self._watches += 1
        self._calls -= 1
        try:
            yield
        finally:
            self._watches -= 1
            self._calls += 1

    def count_recorded(self, events: int, size: int) -> None:
        """Counts the events and the bytes of a Record call.

        Raises QUOTA_EXCEEDED or OVERLOADED if earlier calls have exceeded a limit.
        """
        if self._rates["events_per_second"] or self._rates["bytes_per_second"]:
            self._take(events_per_second=events, bytes_per_second=size)

    def _check(self, name: str, used: int, limit: int | None) -> None:
        if limit is not None and used >= limit:
            raise _exceeded(self._owner, name, limit, RETRY_SECONDS)

    def _take(self, **amounts: int) -> None:
        """Takes an amount from each named rate. If one is overdrawn, raises an error instead."""
        now = _clock()
        for name in amounts:
            for rate in self._rates[name]:
                rate.check(now)
        for name, amount in amounts.items():
            for rate in self._rates[name]:
                rate.take(amount, now)


UNLIMITED = Usage(TokenLimits())
"""The usage of callers without limits."""


class Quotas:
    """Finds the usage of each caller.

    Args:
        each: The default limits of a token: they apply where the token has no limit of its own.
        total: The limits of all callers together.
        count_rows: Counts the stored rows. None if rows are not counted.
    """

    def __init__(
        self,
        each: TokenLimits | None = None,
        total: TokenLimits | None = None,
        count_rows: CountRows | None = None,
    ) -> None:
        self._each, total = each or TokenLimits(), total or TokenLimits()
        self._count_rows = count_rows
        rows = None if count_rows is None else RowQuota(count_rows, (), total.stored_rows)
        self._everybody = Usage(total, rows=rows)
        self._by_token: dict[str, Usage] = {}

    def of(self, token: TokenRow | None) -> Usage:
        """Returns the usage of a token.

        Without a token, returns the usage of all callers together.
        """
        if token is None:
            return self._everybody
        found = self._by_token.get(token.id)
        if found is None:
            limits = token.limits.or_else(self._each)
            rows = self._rows(token, limits)
            found = self._by_token[token.id] = Usage(limits, token.name, self._everybody, rows)
        return found

    def _rows(self, token: TokenRow, limits: TokenLimits) -> RowQuota | None:
        if self._count_rows is None:
            return None
        return RowQuota(self._count_rows, token.prefixes, limits.stored_rows, token.name)

    async def row_gauges(self) -> Mapping[str, float]:
        """Returns metrics for monitoring, by name.

        The metrics have the number of all stored rows. For each token with a limit of stored rows,
        they also have the number of its stored rows, and the limit. Returns an empty dict if rows
        are not counted.
        """
        if self._everybody.rows is None:
            return {}
        found: dict[str, float] = {"stored_rows": await self._everybody.rows.stored()}
        for key, usage in list(self._by_token.items()):
            rows = usage.rows
            if rows is not None and rows.limit is not None:
                name = str(rows.owner).replace("\\", r"\\").replace('"', r"\"")
                label = f'{{id="{key}",token="{name}"}}'
                found[f"token_stored_rows{label}"] = await rows.stored()
                found[f"token_stored_rows_limit{label}"] = rows.limit
        return found


def _exceeded(owner: str | None, name: str, number: int, seconds: float) -> PodiumError:
    if owner is None:
        return overloaded(
            f"the server takes at most {number:,} {_UNITS[name]} in total; try again later",
            seconds,
        )
    text = f"the token {owner!r} is limited to {number:,} {_UNITS[name]}; wait {seconds:.3g} s"
    error = failure("QUOTA_EXCEEDED", text, limit=name)
    error.retry_after = seconds
    return error
