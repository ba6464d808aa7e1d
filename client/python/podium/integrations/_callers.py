"""Finds the library functions that call a callback, and how their calls have ended."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType, FrameType

__all__ = ["TrainerCall", "caller_variables", "is_script_over", "trial_state"]

_EVENTS = ("on_", "before_")
"""The prefixes in the names of functions that pass an event on to callbacks."""


def caller_variables(module: str, name: str) -> Mapping[str, Any]:
    """Returns the local variables of a function that is running in this call stack, by name.

    The function is the nearest caller that is in the given module and has the given variable.
    Returns an empty dict if there is no such function.

    Args:
        module: A part of the module's name, such as `xgboost.training`.
        name: The name of a variable of the function.
    """
    for frame in _stack(inspect.currentframe()):
        if module in frame.f_globals.get("__name__", "") and name in frame.f_code.co_varnames:
            return dict(frame.f_locals)
    return {}


class TrainerCall(NamedTuple):
    """A call of a library's function that trains, such as `xgboost.train`.

    A trainer that raises an error does not notify its callbacks. This object finds out that the
    call has ended, and often the error. It holds no reference to the variables of the call.
    """

    pid: int
    thread: threading.Thread
    frame: int
    """The id of the frame of the call. The frame of a later call may have the same id."""
    code: CodeType

    @staticmethod
    def of(package: str) -> TrainerCall | None:
        """Returns the running call of a package that called this function; None if there is none.

        If functions of the package call each other, returns the outermost call. Returns None if
        that call only passes an event on. For example, `CallbackList.on_epoch_begin` of Keras does
        so when a script calls it in a loop of its own.
        """

        def is_inside(frame: FrameType) -> bool:
            name: str = frame.f_globals.get("__name__", "")
            return name.partition(".")[0] == package

        callers = dropwhile(lambda frame: not is_inside(frame), _stack(inspect.currentframe()))
        calls = list(takewhile(is_inside, callers))
        if not calls or calls[-1].f_code.co_name.startswith(_EVENTS):
            return None
        # This marks the frame, since a later frame with the same id has the default, True. It has
        # no other effect, except that a debugger does not stop at the lines of the function.
        frame = calls[-1]
        frame.f_trace_lines = False
        return TrainerCall(os.getpid(), threading.current_thread(), id(frame), frame.f_code)

    def has_ended(self) -> bool:
        """Returns whether the call has ended: the thread that made it no longer runs it.

        Returns False in a forked process. If another thread asks, returns whether the call's thread
        has ended, because reading the frames of a running thread can crash the interpreter.
        """
        if self.pid != os.getpid():
            return False
        if self.thread is not threading.current_thread():
            return not self.thread.is_alive()
        return not any(map(self._is, _stack(inspect.currentframe())))

    def error(self) -> BaseException | None:
        """Returns the error that ended the call, or None if no error is found.

        An error is found while it is handled, or after it has ended the script.
        """
        errors = _with_causes(sys.exception(), getattr(sys, "last_value", None))
        return next((each for each in errors if any(map(self._is, _frames(each)))), None)

    def _is(self, frame: FrameType) -> bool:
        return id(frame) == self.frame and frame.f_code is self.code and not frame.f_trace_lines


def is_script_over() -> bool:
    """Returns whether `sys.exit()` has ended the script.

    In this case `__del__`, which calls this function, has no caller.
    """
    frame = inspect.currentframe()
    return frame is None or frame.f_back is None or frame.f_back.f_back is None


def trial_state(trial: Any) -> str:
    """Returns the state of an Optuna trial, such as `PRUNED`, or "" if it is not known."""
    if trial is None:
        return ""
    try:
        return str(trial.study.get_trials(deepcopy=False)[trial.number].state.name)
    except Exception:  # noqa: BLE001 - an error of the study's storage must not stop the run
        return ""


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yields a frame and its callers."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _with_causes(*errors: BaseException | None) -> Iterator[BaseException]:
    """Yields errors, their causes, and the errors during whose handling they occurred."""
    seen: list[BaseException] = []
    left = list(errors)
    while left:
        error = left.pop(0)
        if error is not None and error not in seen:
            seen.append(error)
            left += [error.__cause__, error.__context__]
            yield error


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Yields the frames through which an error has passed."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next
