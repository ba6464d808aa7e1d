"""`podium sync`: delivers outboxes in this process, or follows a running sender."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from podium._client.aio.client import AsyncClient
from podium._outbox import UNREACHABLE, SenderLock, SenderState, wake_sender
from podium._sender import FOREGROUND, Report, Sender, Tally
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._outboxes import OutboxView, view_of
from podium.cli._withdrawing import acquire_lock

__all__ = ["Done", "sync"]

_LOOK_SECONDS = 0.2


class Done(NamedTuple):
    """The result of delivering an outbox."""

    view: OutboxView
    """The outbox after the delivery."""
    address: str
    waiting: int = 0
    """The number of events that existed at the start and still wait."""
    delivered: int = 0
    missing: int = 0
    """The number of events that were delivered earlier, but that this server does not have."""
    failure: str = ""
    """The reason why the server or the folder could not be used."""
    notices: tuple[str, ...] = ()
    """Messages for the user, such as about fields whose stored value differs and was kept."""
    was_followed: bool = False
    """Whether another sender delivered the outbox."""

    @property
    def can_be_taken_over(self) -> bool:
        """Whether another sender ended before it had delivered every event."""
        return self.was_followed and bool(self.waiting) and not self.failure

    @property
    def exit(self) -> Exit:
        """The exit code for this outbox."""
        if self.failure or self.view.damaged:
            return Exit.FAILED
        is_torn = any(stream.torn for stream in self.view.streams)
        is_left = self.waiting or self.missing or self.view.rejected or is_torn
        return Exit.NOTHING if is_left else Exit.OK


def sync(
    views: Sequence[OutboxView], address: str, timeout: float | None, console: Console
) -> list[Done]:
    """Delivers outboxes to one server, and returns the result for each outbox.

    Delivers all outboxes together, so that older attempts precede newer ones.
    """
    done = {view.folder: Done(view, address) for view in views}
    left = [view for view in views if view.needs_sender]
    while left:
        with _locked(left, address) as failures:
            ours = [view for view in left if failures[view.folder] is None]
            news = _deliver(ours, address, timeout, console) if ours else []
        for view in left:
            failure = failures[view.folder]
            if failure:
                news.append(Done(view, address, view.waiting, failure=failure))
            elif failure is not None:
                news.append(_follow(view, address, console))
        for each in news:
            before = done[each.view.folder]
            done[each.view.folder] = each._replace(
                delivered=before.delivered + each.delivered, notices=before.notices + each.notices
            )
        # If another sender ended before everything was delivered, this process takes over.
        left = [each.view for each in news if each.can_be_taken_over]
    return list(done.values())


@contextmanager
def _locked(views: Sequence[OutboxView], address: str) -> Iterator[dict[Path, str | None]]:
    """Holds the locks of outboxes during the block.

    Stops a sender that waits for a server at another address and gets no answer.

    Yields a result for each folder: None if this process has the lock, "" if another sender has it,
    or the reason why the outbox cannot be used.
    """
    locks = {view.folder: SenderLock(view.folder) for view in views}
    try:
        yield {folder: _try_lock(lock, folder, address) for folder, lock in locks.items()}
    finally:
        for lock in locks.values():
            lock.release()


def _try_lock(lock: SenderLock, outbox: Path, address: str) -> str | None:
    try:
        if lock.try_acquire():
            return None
        state = SenderState.read(outbox)
        if state is None or state.address == address or state.state != UNREACHABLE:
            return ""
        acquire_lock(lock, outbox)
    except OSError as error:
        return f"the progress of the delivery cannot be stored in the outbox: {error}"
    except CommandError as error:
        return str(error)
    return None


# ---- delivering ----------------------------------------------------------------------------


def _deliver(
    views: Sequence[OutboxView], address: str, timeout: float | None, console: Console
) -> list[Done]:
    folders = [view.folder for view in views]
    total = sum(view.waiting for view in views)
    report = Report(folders, address)

    def observe(sender: Sender) -> None:
        report(sender)
        left = sum(stream.count_pending() for stream in sender.streams.known.values())
        _show(console, total, left)

    settings: dict[str, Any] = {} if timeout is None else {"write_timeout": timeout}
    try:
        client = AsyncClient(address, retry=False, **settings)
    except ValueError as error:
        text = f"{error}; give --address"
        return [Done(view, address, view.waiting, failure=text) for view in views]
    sender = asyncio.run(_run(folders, client, observe))
    return [_done(sender, view, address) for view in views]


async def _run(
    folders: Sequence[Path], client: AsyncClient, observe: Callable[[Sender], None]
) -> Sender:
    async with client:
        sender = Sender(folders, client, FOREGROUND, observe)
        await sender.run()
        return sender


def _done(sender: Sender, before: OutboxView, address: str) -> Done:
    folder = before.folder
    tally = sender.tallies.get(folder, Tally())
    unsent = [stream for stream in sender.streams.unsent if stream.folder.parent == folder]
    pauses = [sender.circuit_breaker.pause, *(stream.pause for stream in unsent)] if unsent else []
    # Events that wait for something on the server are not a failure.
    failures = [pause.message for pause in pauses if pause and not pause.is_refusal]
    failure = failures[0] if failures else ""
    view = view_of(folder)
    left = view.left_of(before)
    return Done(view, address, left, tally.delivered, tally.missing, failure, tuple(tally.notices))


# ---- following another sender ----------------------------------------------------------------


def _follow(before: OutboxView, address: str, console: Console) -> Done:
    """Waits until a running sender has delivered everything, ends, or makes no progress.

    Returns the same result as if this process had delivered the outbox.
    """
    state = SenderState.read(before.folder)
    pid = f" (process {state.pid})" if state else ""
    theirs = state.address if state else before.address
    if address != theirs:
        text = (
            f"a sender{pid} is delivering {before.folder} to {theirs}: wait until it ends, or "
            f"stop it, before you deliver to another server"
        )
        return Done(before, address, before.waiting, failure=text)
    console.note(f"a sender{pid} is delivering {before.folder}; this is its progress")
    view, is_stuck = _watched(before, console)
    failure = _why_stuck(view) if is_stuck else ""
    left = view.left_of(before)
    return Done(view, address, left, before.waiting - left, 0, failure, was_followed=not is_stuck)


def _why_stuck(view: OutboxView) -> str:
    """Returns why a running sender delivers nothing.

    Returns "" if its status has reasons for single streams, since `podium sync` shows these.
    """
    state = view.state
    if state is not None and state.error:
        return state.error
    if any(stream.why for stream in view.streams):
        return ""
    pid = f" (process {state.pid})" if state else ""
    return (
        f"the running sender{pid} delivered nothing for {FOREGROUND.patience_seconds:g} seconds "
        "and gave no reason; stop it, then run `podium sync` again"
    )


def _watched(before: OutboxView, console: Console) -> tuple[OutboxView, bool]:
    """Waits until a sender has delivered the events of `before`, ends or makes no progress.

    Returns the outbox's last state, and whether the sender made no progress.
    """
    view, left, moved = before, before.waiting, time.monotonic()
    while left and view.is_sending:
        if time.monotonic() - moved >= FOREGROUND.patience_seconds:
            return view, True
        for stream in view.streams:
            if stream.waiting:
                wake_sender(stream.folder)
        time.sleep(_LOOK_SECONDS)
        view = view_of(before.folder)
        if view.left_of(before) < left:
            moved = time.monotonic()
        left = view.left_of(before)
        _show(console, before.waiting, left)
    return view, False


def _show(console: Console, total: int, left: int) -> None:
    if total and left <= total:
        console.progress(total - left, total, "events delivered")
