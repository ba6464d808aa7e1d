"""Ends recording in good order when a scheduler stops the process with SIGTERM.

The handler is installed only where nobody else handles the signal, so that a training keeps its
own way to end. It does not change how the process ends: killed by SIGTERM.
"""

import os
import signal
import threading
from collections.abc import Callable

__all__ = ["on_sigterm"]

_SHELL_CODE = 128
"""Added to a signal's number, it is the exit code that shells give a process killed by it."""

_actions: list[Callable[[], None]] = []


def on_sigterm(action: Callable[[], None]) -> None:
    """Calls an action before SIGTERM ends the process.

    Nothing is changed outside of the main thread, nor where the signal is handled or ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _handle)
        _actions[:] = [action]


def _handle(number: int, _frame: object) -> None:
    if signal.getsignal(number) is not _handle:
        # Called by a handler that was installed later, which decides how the process ends.
        return
    signal.signal(number, signal.SIG_DFL)
    try:
        for action in _actions:
            action()
    finally:
        os.kill(os.getpid(), number)
        # The main process of a container is not killed by a signal without a handler.
        os._exit(_SHELL_CODE + number)
