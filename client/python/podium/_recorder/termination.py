"""Ends recording when a scheduler stops the process with SIGTERM.

The handler is installed only if SIGTERM has no other handler, so that a program can use its own.
After the handler, SIGTERM kills the process as usual. Forked processes start without the handler.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable

__all__ = ["on_sigterm"]

_SHELL_CODE = 128
"""If a signal kills a process, a shell reports the exit code 128 plus the signal's number."""

_actions: list[Callable[[], None]] = []
_before_fork = threading.local()


def on_sigterm(action: Callable[[], None]) -> None:
    """Makes SIGTERM call an action before it ends the process.

    Does nothing if SIGTERM has another handler or is ignored, or outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _handle)
        _actions[:] = [action]
        _leave_out_forks()


@functools.cache
def _leave_out_forks() -> None:
    os.register_at_fork(
        before=_hold_back, after_in_parent=_let_through, after_in_child=_restore_default
    )


def _hold_back() -> None:
    """Blocks SIGTERM, because Python loses a signal that arrives while a new process starts."""
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _restore_default() -> None:
    if signal.getsignal(signal.SIGTERM) is _handle:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_through()


def _handle(number: int, _frame: object) -> None:
    if signal.getsignal(number) is not _handle:
        # A handler that was installed later called this one. It decides how the process ends.
        return
    signal.signal(number, signal.SIG_DFL)
    try:
        for action in _actions:
            action()
    finally:
        os.kill(os.getpid(), number)
        # The main process of a container is not killed by a signal without a handler.
        os._exit(_SHELL_CODE + number)
