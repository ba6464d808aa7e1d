"""`python -m podium._sender FOLDER`: delivers an outbox, and ends when there is nothing to do."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from podium._client.aio.client import AsyncClient
from podium._outbox import SenderLock, forget_state, outbox_address, streams, sweep
from podium._sender.sender import BACKGROUND, Rules, Sender
from podium._sender.status_file import Report

__all__ = ["main"]

_log = logging.getLogger("podium._sender")

_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Delivers the outbox that the arguments name.

    Returns 1 if it cannot be delivered, otherwise 0.
    """
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(process)d %(message)s"
    )
    rules = replace(
        BACKGROUND, idle_seconds=given.idle_seconds, patience_seconds=given.patience_seconds
    )
    try:
        while _deliver_locked(given.outbox, rules):
            pass
    except (OSError, ValueError) as error:
        _log.error("the outbox %s cannot be delivered: %s", given.outbox, error)
        return _FAILED
    return 0


def _deliver_locked(outbox: Path, rules: Rules) -> bool:
    """Delivers an outbox while holding its lock, unless another sender holds it.

    Returns:
        Whether to deliver the outbox once more, because a stream was created after this sender last
        searched for streams. The recorder of this stream may have started no sender, since this one
        held the lock.
    """
    lock = SenderLock(outbox)
    address = outbox_address(outbox)
    if not lock.try_acquire():
        return False
    try:
        forget_state(outbox)
        sweep(outbox)
        seen = asyncio.run(_deliver(outbox, address, rules))
    finally:
        lock.release()
    return seen is not None and _has_other_streams(outbox, seen)


def _has_other_streams(outbox: Path, seen: frozenset[Path]) -> bool:
    try:
        return not seen.issuperset(streams(outbox))
    except FileNotFoundError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m podium._sender", description=__doc__)
    parser.add_argument("outbox", type=Path, help="the folder of an outbox")
    parser.add_argument(
        "--idle-seconds",
        type=float,
        default=BACKGROUND.idle_seconds,
        help="the seconds to run after everything is delivered and no process records",
    )
    parser.add_argument(
        "--patience-seconds",
        type=float,
        default=BACKGROUND.patience_seconds,
        help="the seconds to run while nothing can be delivered and no process records",
    )
    return parser


async def _deliver(outbox: Path, address: str, rules: Rules) -> frozenset[Path] | None:
    """Delivers an outbox. Returns the folders of its streams, or None after SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncClient(address, retry=False) as client:
        sender = Sender([outbox], client, rules, Report([outbox], address))
        await sender.run(stop)
    return (
        None if stop.is_set() else frozenset(sender.streams.known) | sender.streams.damaged.keys()
    )


if __name__ == "__main__":
    sys.exit(main())
