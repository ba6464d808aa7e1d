"""Logs the warnings of a recorder to the logger `podium`: each problem only the first time."""

import contextlib
import logging
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from podium._recorder.problems import Problems, Target, shown

__all__ = ["RecorderWarnings"]

_LOGGER = logging.getLogger("podium")
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_LIBRARIES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_MOST_KINDS = 10_000
"""The most kinds of problems that are remembered, to limit memory."""
_MOST_ARMS, _MOST_SUMMED = 10, 20
"""The most arms of one problem, and the most problems, that a summary names."""
_MOST_NAMED = 200
"""The most problems of one call that are named in a warning."""
_UNKNOWN = Target()


class RecorderWarnings:
    """Logs each problem once, with the line of the user's code, and counts its repetitions.

    Args:
        is_strict: Whether an invalid call raises its error.

    Attributes:
        dropped: The number of calls of which nothing was recorded, because of their arguments.
        incomplete: The number of calls that were recorded in part.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        self.dropped = 0
        self.incomplete = 0
        self._kinds: dict[tuple[str, ...], _Kind] = {}

    def say(self, kind: str, text: str, target: Target = _UNKNOWN) -> None:
        """Logs a message. If a message of the same kind was logged before, only counts it."""
        if self._is_new((kind,), kind, target):
            _warn(text, names_place=False)

    def say_unforeseen(self, error: Exception) -> None:
        """Logs an unexpected error with its traceback."""
        self.say("unexpected errors", "".join(traceback.format_exception(error)).strip())

    def report(self, call: str, target: Target, problems: Problems) -> None:
        """Logs the problems of a call.

        Only counts a problem if one of the same call, field and kind was logged before.
        """
        new = [
            problem
            for problem in problems
            if self._is_new((call, problem.field, problem.kind), f"{call}: {problem.label}", target)
        ]
        if new:
            texts = "; ".join(problem.text for problem in new[:_MOST_NAMED])
            more = len(new) - _MOST_NAMED
            rest = f"; and {more:,} more" if more > 0 else ""
            _warn(f"{call}{target}: {texts}{rest}")

    def refuse(
        self,
        call: str,
        error: Exception,
        target: Target = _UNKNOWN,
        outcome: str | None = None,
    ) -> None:
        """Logs that a call is not recorded because of an error. If strict, raises the error.

        If `outcome` is given, it replaces the words "… is not recorded". Settings use it.
        """
        if self.is_strict:
            raise error
        text = f"{error} ({type(error).__name__})"
        if self._is_new((call, text), f"{call}: {text}", target):
            _warn(f"{call}{target}: {text}; {outcome or f'{call} is not recorded'}")

    @contextlib.contextmanager
    def guard(
        self, call: str, target: Target = _UNKNOWN, outcome: str | None = None
    ) -> Iterator[None]:
        """Returns a context manager that calls `refuse` if its block raises an error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self.refuse(call, error, target, outcome)

    def summary(self) -> list[str]:
        """Returns a line for each problem that occurred again since its warning or last summary."""
        again = [kind for kind in self._kinds.values() if kind.later]
        more = len(again) - _MOST_SUMMED
        rest = [f"{more:,} more problems occurred again"] if more > 0 else []
        lines = [*map(str, again[:_MOST_SUMMED]), *rest]
        for kind in again:
            kind.forget()
        return lines

    def _is_new(self, key: tuple[str, ...], label: str, target: Target) -> bool:
        """Counts a problem. Returns whether it is the first of its kind."""
        if key not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            key, label = (), "other problems"
        known = self._kinds.setdefault(key, _Kind(label))
        return known.count(target)


class _Kind:
    """Counts how often a problem occurred after its warning, and in which arms."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._arms: dict[str, None] = {}
        self.later = -1

    def count(self, target: Target) -> bool:
        """Counts a problem. Returns whether it is the first one."""
        self.later += 1
        if self.later and target.arm is not None and len(self._arms) <= _MOST_ARMS:
            self._arms[target.arm] = None
        return not self.later

    def forget(self) -> None:
        self.later = 0
        self._arms.clear()

    def __str__(self) -> str:
        arms = [shown(arm) for arm in self._arms]
        named = [*arms[:_MOST_ARMS], "others"] if len(arms) > _MOST_ARMS else arms
        where = f", in {'arm' if len(arms) == 1 else 'arms'} {', '.join(named)}" if arms else ""
        return f"{self._label}: {self.later:,} more {'time' if self.later == 1 else 'times'}{where}"


def _warn(text: str, *, names_place: bool = True) -> None:
    """Logs a warning.

    If `names_place` is set, the warning names the line of the user's code that called Podium.
    """
    callers = list(_callers())
    # A trainer that calls an integration is a library. Its caller is the user's code.
    own = (caller for caller in callers if not _is_installed(caller[0].f_code.co_filename))
    frame, level = next(own, callers[0] if callers else (None, 1))
    if frame is None or frame.f_code.co_filename.endswith("threading.py"):
        _LOGGER.warning("podium: %s", text)
        return
    # Default handlers show only the message, so the message itself names the place.
    place = f"{_shown(frame.f_code.co_filename)}:{frame.f_lineno}: " if names_place else ""
    _LOGGER.warning("podium: %s%s", place, text, stacklevel=level)


def _callers() -> Iterator[tuple[FrameType, int]]:
    """Yields the frames of callers outside of Podium with their stack levels, innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - as the logging module does
    level = 1
    while frame is not None:
        if not _is_ours(frame.f_code.co_filename):
            yield frame, level
        frame, level = frame.f_back, level + 1


def _is_installed(filename: str) -> bool:
    return filename.startswith(_LIBRARIES) or filename.endswith("threading.py")


def _is_ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE) or filename == contextlib.__file__


def _shown(filename: str) -> str:
    """Returns the path of a file. The path is relative if the file is in the working folder."""
    with contextlib.suppress(ValueError, OSError):
        return str(Path(filename).relative_to(Path.cwd()))
    return filename
