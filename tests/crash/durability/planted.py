"""A server with a defect, so that the search for lost and doubled rows is seen to find it.

    python tests/crash/durability/planted.py ack_before_commit --listen 127.0.0.1:0 --store URL

Each plant takes its time at the moment when a kill shows the defect.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from podium_server.serve.command import main
from podium_server.store.rows import StreamRow
from podium_server.store.sqlite import writes
from podium_server.store.sqlite.group_commit import GroupCommit
from podium_server.writes.call import RecordCall

__all__ = ["PLANTS"]

_PAUSE_SECONDS = 0.02
_commit = GroupCommit._commit
_first_new = RecordCall._first_new


def _ack_before_commit() -> None:
    """Callers are answered before the transaction is durable."""

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        for waiting in applied:
            waiting.give()
        await asyncio.sleep(_PAUSE_SECONDS)
        await _commit(self, applied, changed=changed)

    GroupCommit._commit = commit  # type: ignore[method-assign]


def _position_apart() -> None:
    """Positions of streams are saved in a transaction of their own, after the events."""
    later: list[tuple[Any, ...]] = []

    def put_stream(self: Any, row: StreamRow) -> None:
        state = (row.writer_id, row.last_sequence, row.subject, int(row.state))
        later.append((self._experiment, *state))

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        await _commit(self, applied, changed=changed)
        await asyncio.sleep(_PAUSE_SECONDS)
        self._connection.executemany(writes._PUT_STREAM, later)
        later.clear()

    writes._Writer._put_stream = put_stream  # type: ignore[method-assign]
    GroupCommit._commit = commit  # type: ignore[method-assign]


def _resend_is_new() -> None:
    """The events of a call count as new although their stream has them already."""

    def first_new(self: RecordCall, stream: StreamRow) -> int:
        return 0 * _first_new(self, stream)

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        await _commit(self, applied, changed=changed)
        await asyncio.sleep(_PAUSE_SECONDS)

    RecordCall._first_new = first_new  # type: ignore[method-assign]
    GroupCommit._commit = commit  # type: ignore[method-assign]


PLANTS: dict[str, Callable[[], None]] = {
    "ack_before_commit": _ack_before_commit,
    "position_apart": _position_apart,
    "resend_is_new": _resend_is_new,
}
"""The defects, by the name that the command takes."""


if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    sys.exit(main())
