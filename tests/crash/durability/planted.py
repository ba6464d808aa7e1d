"""A server with a defect, to prove that the search for lost and doubled rows finds it.

    python tests/crash/durability/planted.py ack_before_commit FOLDER --listen 127.0.0.1:0 …

A kill shows a defect only at certain moments. While FOLDER has a file `asked`, the server waits at
such a moment until it is killed. Before that, it writes the streams of its calls to a file
`reached`.
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
"""A call with at least this number of events changes something each time that it is applied."""
_LOOK_SECONDS = 0.002
_commit = GroupCommit._commit
_first_new = RecordCall._first_new
_folder = Path()


async def _hold(applied: list[Any], until: Callable[[], bool] = lambda: True) -> None:
    """Waits for the kill, if it was asked for and a suitable call is being committed.

    Before that, waits until `until` returns True.
    """
    if not (_folder / "asked").exists() or not any(map(_is_enough, applied)):
        return
    while not until():  # noqa: ASYNC110 - the queue of the server has no event to wait for
        await asyncio.sleep(_LOOK_SECONDS)
    writers = (one.call._position.writer_id for one in filter(_is_enough, applied))
    (_folder / "reaching").write_text("\n".join(writers))
    (_folder / "reaching").rename(_folder / "reached")
    await asyncio.Event().wait()


def _is_enough(one: Any) -> bool:
    call = one.call
    # An arm that was resumed on another machine may reject a call that is sent again.
    return (
        one.error is None
        and isinstance(call, RecordCall)
        and call._position is not None
        and len(call._parsed) >= _ENOUGH_EVENTS
        and not call._experiment.endswith("/resumed")
    )


def _hold_before_answer() -> None:
    """Plants no defect. Waits for the kill when a call is committed and not yet answered."""

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        await _commit(self, applied, changed=changed)
        await _hold(applied)

    GroupCommit._commit = commit  # type: ignore[method-assign]


def _ack_before_commit() -> None:
    """Answers callers before the transaction is durable."""

    async def commit(self: GroupCommit, applied: list[Any], *, changed: bool) -> None:
        for waiting in applied:
            waiting.give()
        # When all callers have sent their next calls, all of them have got their answers.
        callers = len(self._waiting) + len(applied)
        await _hold(applied, lambda: len(self._waiting) >= callers)
        await _commit(self, applied, changed=changed)

    GroupCommit._commit = commit  # type: ignore[method-assign]


def _position_apart() -> None:
    """Saves the positions of streams in a separate transaction, after the events."""
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
    """Applies the events of a repeated call again, as if they were new."""

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
"""The defects by name."""


if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    _folder = Path(sys.argv.pop(1))
    sys.exit(main())
