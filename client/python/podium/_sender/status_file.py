"""Keeps the sender's status file `sender.json` in each outbox up to date."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from podium._outbox import DELIVERING, IDLE, THROTTLED, UNREACHABLE, WAITING, SenderState
from podium._sender.sender import Sender
from podium._sender.stream import Stream
from podium._sender.verdicts import Pause

__all__ = ["Report"]

_log = logging.getLogger(__name__)

_MOST = 100


class Report:
    """Writes the status of a sender to its outboxes. Pass it to `Sender` as `observe`."""

    def __init__(self, outboxes: Sequence[Path], address: str) -> None:
        self._outboxes = outboxes
        self._address = address
        self._written: dict[Path, SenderState] = {}

    def __call__(self, sender: Sender) -> None:
        """Writes the status of the sender to each outbox whose status has changed."""
        for outbox in self._outboxes:
            state = self._state(sender, outbox)
            if state != self._written.get(outbox):
                self._written[outbox] = state
                self._write(state, outbox)

    def _write(self, state: SenderState, outbox: Path) -> None:
        try:
            state.write(outbox)
        except OSError as error:
            _log.warning("sender.json cannot be written: %s", error)

    def _state(self, sender: Sender, outbox: Path) -> SenderState:
        breaker = sender.circuit_breaker
        unsent = [stream for stream in sender.streams.unsent if stream.folder.parent == outbox]
        damaged = [item for item in sender.streams.damaged.items() if item[0].parent == outbox]
        return SenderState(
            pid=os.getpid(),
            address=self._address,
            state=_closed(breaker.pause) if breaker.pause else _word(unsent),
            error=_text(breaker.pause) if breaker.pause else None,
            since=breaker.since_time if breaker.pause else None,
            next_try=breaker.due_time if breaker.pause else None,
            waits={s.info.writer_id: _text(s.pause) for s in unsent[:_MOST] if s.pause},
            damaged={folder.name: text for folder, text in damaged[:_MOST]},
        )


def _closed(pause: Pause) -> str:
    return THROTTLED if pause.is_throttled else UNREACHABLE


def _word(unsent: Sequence[Stream]) -> str:
    if not unsent:
        return IDLE
    return WAITING if all(stream.pause or stream.is_behind for stream in unsent) else DELIVERING


def _text(pause: Pause) -> str:
    return f"{pause.message} ({pause.reason})"
