"""Helpers that inspect a recorder and its log."""

import logging
import os
import signal
from pathlib import Path

import pytest
from podium._outbox.sender_state import SenderState

__all__ = ["NOBODY", "PATIENT", "end_sender", "open_files", "told"]

NOBODY = "127.0.0.1:1"
"""An address without a server."""
PATIENT = """
from podium._recorder import process_outbox
process_outbox._FIRST_PROGRESS_SECONDS = 120.0
"""
"""The first lines of a script. They let its end wait longer for delivery on a busy machine."""


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns the warnings that the recorder has logged."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def open_files() -> int:
    """Returns the number of open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def end_sender(outbox: Path) -> None:
    """Ends the sender of an outbox whose server does not exist.

    Otherwise the sender would retry for an hour.
    """
    state = SenderState.read(outbox)
    assert state is not None
    os.kill(state.pid, signal.SIGTERM)
