"""A server with a defect, so that the search for lost and doubled rows is seen to find it.

    python tests/crash/durability/planted.py ack_before_commit FOLDER --listen 127.0.0.1:0 …

A kill shows a defect at one moment only. When there is a file `asked` in FOLDER, the server stays
in that moment, and writes the streams of its calls to a file `reached`, until it is killed.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podium_server.serve.command import main
from podium_server.store.rows import StreamRow
from podium_server.store.sql import codec, writes
from podium_server.store.sqlite.group_commit import GroupCommit
from podium_server.writes.call import RecordCall

__all__ = ["PLANTS"]

_ENOUGH_EVENTS = 6
"""A call of so many events changes something again when it is applied twice."""
_LOOK_SECONDS = 0.002
_commit = GroupCommit._commit
_first_new = RecordCall._first_new
_folder = Path()


async def _hold(applied: list[Any], until: Callable[[], bool] = lambda: True) -> None:
    """Stays here for good if that was asked for and a call with a position is under way."""
    if not (_folder / "asked").exists() or not any(map(_is_enough, applied)):
        return
    while not until():  # noqa: ASYNC110 - the queue of the server tells nobody
        await asyncio.sleep(_LOOK_SECONDS)
    writers = (one.call._position.writer_id for one in filter(_is_enough, applied))
    (_folder / "reaching").write_text("\n".join(writers))
    (_folder / "reaching").rename(_folder / "reached")
    await asyncio.Event().wait()


def _is_enough(one: Any) -> bool:
    call = one.call
    # An arm that is resumed elsewhere may reject what is sent again.
    return (
        one.error is None
        and isinstance(call, RecordCall)
        and call._position is not None
        and len(call._parsed) >= _ENOUGH_EVENTS
        and not call._experiment.endswith("/resumed")
    )


def _hold_before_answer() -> None:
    """No defect: the moment at which a call is committed and not answered."""

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        await _commit(self, applied, changed=changed)
        await _hold(applied)

    GroupCommit._commit = commit  # type: ignore[method-assign]


def _ack_before_commit() -> None:
    """Callers are answered before the transaction is durable."""

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        for waiting in applied:
            waiting.give()
        # They have their answers when all of them have called again.
        callers = len(self._waiting) + len(applied)
        await _hold(applied, lambda: len(self._waiting) >= callers)
        await _commit(self, applied, changed=changed)

    GroupCommit._commit = commit  # type: ignore[method-assign]


def _position_apart() -> None:
    """Positions of streams are saved in a transaction of their own, after the events."""
    later: list[tuple[Any, ...]] = []

    def put_stream(self: Any, row: StreamRow) -> None:
        later.append((self._experiment, *codec.stream_values(row)))

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        await _commit(self, applied, changed=changed)
        await _hold(applied)
        self._connection.executemany(writes._PUT_STREAM, later)
        later.clear()

    writes.Writer.put_stream = put_stream  # type: ignore[method-assign]
    GroupCommit._commit = commit  # type: ignore[method-assign]


def _resend_is_new() -> None:
    """The events of a call count as new although their stream has them already."""

    def first_new(self: RecordCall, stream: StreamRow) -> int:
        return 0 * _first_new(self, stream)

    _hold_before_answer()
    RecordCall._first_new = first_new  # type: ignore[method-assign]


PLANTS: dict[str, Callable[[], None]] = {
    "ack_before_commit": _ack_before_commit,
    "position_apart": _position_apart,
    "resend_is_new": _resend_is_new,
    "hold_before_answer": _hold_before_answer,
}
"""The defects, by the name that the command takes."""


if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    _folder = Path(sys.argv.pop(1))
    sys.exit(main())
