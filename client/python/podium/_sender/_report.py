"""Keeps `sender.json` at what a sender does."""

from __future__ import annotations

import logging
import os
from itertools import islice
from typing import TYPE_CHECKING

from podium._outbox import DELIVERING, IDLE, UNREACHABLE, WAITING, SenderState

if TYPE_CHECKING:
    from pathlib import Path

    from podium._sender._sender import Sender

__all__ = ["Report"]

_log = logging.getLogger(__name__)

_MOST = 100


class Report:
    """Writes what a sender does whenever that has changed; an observer of `Sender`."""

    def __init__(self, outbox: Path, address: str) -> None:
        self._outbox = outbox
        self._address = address
        self._said: SenderState | None = None

    def __call__(self, sender: Sender) -> None:
        """Writes it, if it is news."""
        state = self._state(sender)
        if state == self._said:
            return
        try:
            state.write(self._outbox)
        except OSError as error:
            _log.warning("sender.json cannot be written: %s", error)
        self._said = state

    def _state(self, sender: Sender) -> SenderState:
        gate = sender.gate
        waits = {
            stream.info.writer_id: f"{stream.pause.message} ({stream.pause.reason})"
            for stream in islice(sender.waiting, _MOST)
            if stream.pause is not None
        }
        return SenderState(
            pid=os.getpid(),
            address=self._address,
            state=_word(sender),
            error=f"{gate.pause.message} ({gate.pause.reason})" if gate.pause else None,
            since=gate.since_time if gate.pause else None,
            next_try=gate.due_time if gate.pause else None,
            waits=waits,
            damaged={folder.name: text for folder, text in islice(sender.damaged.items(), _MOST)},
        )


def _word(sender: Sender) -> str:
    if sender.gate.pause is not None:
        return UNREACHABLE
    if sender.is_delivering:
        return DELIVERING
    return WAITING if sender.waiting else IDLE
