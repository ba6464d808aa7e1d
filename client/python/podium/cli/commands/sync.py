"""`podium sync`."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from podium._async_client import AsyncClient
from podium._outbox import SenderLock, SenderState
from podium._sender import FOREGROUND, Report, Sender
from podium.cli import _format
from podium.cli._exits import CommandError, Exit, command_line
from podium.cli._outboxes import OutboxView, add_folder, find_outboxes, view_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from podium.cli._console import Console

__all__ = ["add_arguments", "run_locally"]

_LOOK_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Delivers what was recorded and is not at the server yet: of trainers that had no\n"
        "connection, or of a folder that was copied from another machine. Where a sender is at\n"
        "work already, it shows how far that one comes. It is safe to end it and to run it\n"
        "again.\n\n"
        "Each outbox goes to the server that it was recorded for, unless --address names another.\n"
        "Exit code 0 says that everything is delivered, 1 that something waits or was set aside,\n"
        "3 that the server could not be reached."
    )
    parser.epilog = (
        "examples:\n"
        "  podium sync \n"
        "  podium sync /mnt/usb/outbox --address results.example.org:50051"
    )
    add_folder(parser)


class _Done(NamedTuple):
    """What became of an outbox."""

    view: OutboxView
    address: str
    delivered: int = 0
    missing: int = 0
    failure: str = ""
    """Why the server, or the folder, did not take part."""

    @property
    def exit(self) -> Exit:
        """The exit code of this outbox alone."""
        if self.failure or self.view.damaged:
            return Exit.FAILED
        left = self.missing or any(not stream.is_delivered for stream in self.view.streams)
        return Exit.NOTHING if left else Exit.OK


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Delivers one outbox after the other."""
    logging.getLogger("podium").addHandler(logging.NullHandler())
    done = [_sync(outbox, arguments, console) for outbox in find_outboxes(arguments.folder)]
    if console.as_json:
        console.json([_to_json(each) for each in done])
    else:
        _tell(done, console)
    return max((each.exit for each in done), default=Exit.OK)


def _sync(outbox: Path, arguments: argparse.Namespace, console: Console) -> _Done:
    before = view_of(outbox)
    address = arguments.address or before.address
    lock = SenderLock(outbox)
    done = _Done(before, address)
    while done.view.waiting and not done.failure:
        try:
            if not lock.try_acquire():
                done = _follow(before, address, console)
                continue
            return _deliver(before, address, arguments.timeout, console)
        except OSError as error:
            text = f"{outbox} cannot be written, but how far it is delivered is noted there"
            return done._replace(failure=f"{text}: {error}")
        finally:
            lock.release()
    return done


# ---- delivering ----------------------------------------------------------------------------


def _deliver(before: OutboxView, address: str, timeout: float | None, console: Console) -> _Done:
    report = Report(before.folder, address)

    def observe(sender: Sender) -> None:
        report(sender)
        left = sum(stream.count_pending() for stream in sender.streams.values())
        _show(console, before.waiting, left)

    settings = {} if timeout is None else {"write_timeout": timeout}
    try:
        sender = asyncio.run(_run(before.folder, AsyncClient(address, **settings), observe))
    except ValueError as error:
        raise CommandError(str(error)) from error
    return _Done(
        view_of(before.folder), address, sender.delivered, sender.missing, _failure(sender)
    )


async def _run(outbox: Path, client: AsyncClient, observe: Callable[[Sender], None]) -> Sender:
    async with client:
        sender = Sender(outbox, client, FOREGROUND, observe)
        await sender.run()
        return sender


def _failure(sender: Sender) -> str:
    """What went wrong, other than that the server waits for something."""
    pauses = [sender.gate.pause, *(stream.pause for stream in sender.waiting)]
    return next((pause.message for pause in pauses if pause and not pause.is_refusal), "")


# ---- following another sender ----------------------------------------------------------------


def _follow(before: OutboxView, address: str, console: Console) -> _Done:
    """Waits for a sender that is at work: it has the lock."""
    state = SenderState.read(before.folder)
    pid = f" (process {state.pid})" if state else ""
    if address != before.address:
        text = (
            f"a sender{pid} is delivering {before.folder} to {before.address}: wait for its end, "
            "or end it, before you deliver this to another server"
        )
        return _Done(before, address, failure=text)
    console.note(f"a sender{pid} is at work on {before.folder}; this shows how far it comes")
    view, is_stuck = _watched(before, console)
    failure = ""
    if is_stuck:
        failure = (view.state and view.state.error) or "the sender at work gets no further"
    return _Done(view, address, max(0, before.waiting - view.waiting), failure=failure)


def _watched(before: OutboxView, console: Console) -> tuple[OutboxView, bool]:
    """Looks on until everything is delivered or the sender ends; or gets no further: true."""
    view, moved = before, time.monotonic()
    while view.waiting and view.is_sending:
        if time.monotonic() - moved >= FOREGROUND.patience_seconds:
            return view, True
        time.sleep(_LOOK_SECONDS)
        now = view_of(before.folder)
        if now.waiting < view.waiting:
            moved = time.monotonic()
        view = now
        _show(console, max(before.waiting, view.waiting), view.waiting)
    return view, False


# ---- telling -----------------------------------------------------------------------------------


def _show(console: Console, total: int, left: int) -> None:
    if total and left <= total:
        console.progress(total - left, total, "events delivered")


def _tell(done: list[_Done], console: Console) -> None:
    for each in done:
        if each.delivered or each.exit is not Exit.OK:
            count = _format.count(each.delivered, "event")
            console.line(f"{count} delivered to {each.address}")
        for text in _left(each):
            console.note(text)
    if not any(each.delivered or each.exit is not Exit.OK for each in done):
        console.line("nothing waits: everything that was recorded is delivered")


def _left(done: _Done) -> list[str]:
    """What is not delivered and why, a line each."""
    view, texts = done.view, []
    if view.waiting:
        why = done.failure or "; ".join(sorted({s.why for s in view.streams if s.why}))
        texts.append(
            f"{_format.count(view.waiting, 'event')} wait{'s' * (view.waiting == 1)}: {why}"
        )
    elif done.failure:
        texts.append(done.failure)
    if done.missing:
        texts.append(
            f"{_format.count(done.missing, 'event')} had been delivered before, and are neither "
            "at this server nor in the outbox any more"
        )
    if view.set_aside:
        show = command_line("outbox", str(view.folder))
        retry = command_line("outbox", "retry", str(view.folder))
        texts.append(
            f"{_format.count(view.set_aside, 'event')} set aside, since the server refused "
            f"{'it' if view.set_aside == 1 else 'them'}: `{show}` shows why, `{retry}` tries again"
        )
    texts += [f"{folder} cannot be read: {why}" for folder, why in view.damaged.items()]
    torn = [path for stream in view.streams for path in stream.torn]
    texts += [f"{path} has records that cannot be read; it is kept" for path in torn]
    return texts


def _to_json(done: _Done) -> dict[str, Any]:
    return {
        "outbox": str(done.view.folder),
        "address": done.address,
        "delivered": done.delivered,
        "waiting": done.view.waiting,
        "set_aside": done.view.set_aside,
        "missing": done.missing,
        "error": done.failure or None,
        "damaged": [str(folder) for folder in done.view.damaged],
    }
