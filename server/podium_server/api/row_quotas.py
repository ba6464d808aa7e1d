"""Quotas of stored rows: they limit the results of a token or a server, not its calls."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from podium.errors import PodiumError

from podium_server.errors import failure

__all__ = ["CountRows", "RowClaim", "RowQuota"]

T = TypeVar("T")
CountRows = Callable[[Sequence[str]], Awaitable[int]]
"""A function that counts the rows of experiments with given prefixes: see `Store.row_count`."""

_clock = time.monotonic
_FRESH_SECONDS = 2.0
"""The seconds after which the store counts the rows again."""
_SHARE = 20
_LONGEST_PAUSE_SECONDS = 1.0
"""The next count waits 20 times as long as the last one took, but at most one second."""
_LOCK = threading.Lock()
"""Guards all quotas: calls in several threads take rows of several quotas together."""
_RETRY_SECONDS = 60.0
"""The seconds that a rejected client is asked to wait: many, because rows are seldom deleted."""


class RowQuota:
    """Counts the rows that are stored under some prefixes, and limits their number.

    Between two counts of the store, this object adds the rows of this server's calls. So one server
    never stores more rows than the limit. Several servers together can exceed the limit by the rows
    that they add in two seconds.

    Args:
        count_rows: Counts the rows.
        prefixes: The prefixes of experiment names. If empty, the rows of all experiments count.
        limit: The most rows; None for no limit.
        owner: The name of the limited token; None for the limit of the server.
    """

    def __init__(
        self,
        count_rows: CountRows,
        prefixes: Sequence[str] = (),
        limit: int | None = None,
        owner: str | None = None,
    ) -> None:
        self.limit = limit
        self.owner = owner
        self._count_rows, self._prefixes = count_rows, prefixes
        self._rows = self._rows_next = self._in_flight = 0
        self._begun = self._ended = -_FRESH_SECONDS
        self._pause = 0.0
        self._is_counted = False
        self._counting = asyncio.Lock()

    async def stored(self) -> int:
        """Returns the number of stored rows, plus the rows that running calls may still add."""
        if not self._is_counted or _clock() - self._begun > max(_FRESH_SECONDS, self._pause):
            await self.count_again()
        return self._rows

    async def count_again(self) -> bool:
        """Counts the stored rows again. Returns False if the last count is too recent for that."""
        asked = _clock()
        async with self._counting:
            if self._begun >= asked:
                return True
            if self._is_counted and _clock() < self._ended + self._pause:
                return False
            self._begun = _clock()
            with _LOCK:
                self._rows_next = self._in_flight
            rows = await self._count_rows(self._prefixes)
            with _LOCK:
                self._rows = self._rows_next + rows
            self._is_counted = True
            self._ended = _clock()
            self._pause = min(_LONGEST_PAUSE_SECONDS, _SHARE * (self._ended - self._begun))
            return True

    def check(self, rows: int) -> None:
        """Raises QUOTA_EXCEEDED or STORAGE_FULL if there is no room for more rows."""
        if self.limit is not None and rows > 0 and self._rows + rows > self.limit:
            raise self._exceeded(rows)

    def add(self, rows: int) -> None:
        """Adds rows of a running call. `_LOCK` must be held."""
        self._rows += rows
        self._rows_next += rows
        self._in_flight += rows

    def end(self, rows: int) -> None:
        """Stops counting the rows of a call as rows of a running call."""
        with _LOCK:
            self._in_flight -= rows

    def _exceeded(self, rows: int) -> PodiumError:
        if self.owner is None:
            # Numbers in this message would tell a caller how much others have stored.
            error = failure(
                "STORAGE_FULL",
                "this call would exceed the server's limit of all stored rows; nothing was "
                "changed. The server's operator can delete results, or raise stored_rows in "
                "`--total-limit`",
            )
        else:
            where = f" in {', '.join(self._prefixes)}" if self._prefixes else ""
            error = failure(
                "QUOTA_EXCEEDED",
                f"the token {self.owner!r} is limited to {self.limit:,} stored rows{where}; "
                f"{self._rows:,} are stored, and this call adds {rows:,}; nothing was changed. "
                "Delete results, or ask an administrator for a token with a higher stored_rows "
                "limit",
                limit="stored_rows",
            )
        error.retry_after = _RETRY_SECONDS
        return error


class RowClaim:
    """The rows that one call adds, counted in each quota that limits the call."""

    def __init__(self, quotas: Sequence[RowQuota]) -> None:
        self._quotas = quotas
        self._rows = 0
        self._exceeded: RowQuota | None = None

    def take(self, rows: int) -> None:
        """Claims rows. Raises an error if a quota has no room for them.

        If the store repeats the transaction, the new claim replaces that of the earlier try.
        """
        with _LOCK:
            for quota in self._quotas:
                quota.add(-self._rows)
            self._rows = 0
            for quota in self._quotas:
                self._exceeded = quota
                quota.check(rows)
            self._exceeded = None
            for quota in self._quotas:
                quota.add(rows)
            self._rows = rows

    async def hold(self, transact: Callable[[], Awaitable[T]]) -> T:
        """Runs a transaction that claims rows.

        If a quota is full, counts the stored rows again and runs the transaction once more.
        """
        for quota in self._quotas:
            await quota.stored()
        try:
            try:
                return await transact()
            except PodiumError:
                if self._exceeded is None or not await self._exceeded.count_again():
                    raise
            return await transact()
        finally:
            for quota in self._quotas:
                quota.end(self._rows)
