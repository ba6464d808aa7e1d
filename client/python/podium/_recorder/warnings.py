"""Warnings of a recorder, on the logger `podium`: each problem at once, and once."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import sysconfig
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from podium._recorder.problems import Problems

__all__ = ["RecorderWarnings"]

_LOGGER = logging.getLogger("podium")
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_LIBRARIES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_MOST_SEEN = 10_000
"""How many different problems are remembered, so that memory stays bounded."""
_MOST_NAMED = 200
"""How many problems of one call a warning names."""


class RecorderWarnings:
    """Logs each problem when it first occurs, with the line of the user's code, and counts it.

    Args:
        is_strict: Whether a call that cannot be recorded as it is raises its error.

    Attributes:
        dropped: How many calls are not recorded at all because of their arguments.
        incomplete: How many calls are recorded without some part of them.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        self.dropped = 0
        self.incomplete = 0
        self._times: Counter[str] = Counter()
        self._logged: Counter[str] = Counter()
        self._seen: set[tuple[str, ...]] = set()

    def say(self, kind: str, text: str) -> None:
        """Logs a text, unless one of its kind was logged; then it is only counted."""
        self._times[kind] += 1
        if self._times[kind] == 1:
            _warn(text, names_place=False)

    def say_unforeseen(self, error: Exception) -> None:
        """Logs an error that nobody has foreseen, with its traceback."""
        self.say("unforeseen errors", "".join(traceback.format_exception(error)).strip())

    def report(self, call: str, about: str, problems: Problems) -> None:
        """Logs those problems of a call that are new for their kind and field.

        Args:
            call: The name of the method.
            about: The subject of the call, such as an arm.
            problems: What is wrong.
        """
        new = []
        for problem in problems:
            key: tuple[str, ...] = (call, problem.field, problem.kind)
            if key not in self._seen:
                new.append(problem.text)
                if len(self._seen) < _MOST_SEEN:
                    self._seen.add(key)
        self._times[call] += bool(problems)
        if new:
            self._logged[call] += 1
            more = len(new) - _MOST_NAMED
            rest = f"; and {more:,} more" if more > 0 else ""
            _warn(f"{call}{about}: {'; '.join(new[:_MOST_NAMED])}{rest}")

    def refuse(self, what: str, error: Exception, outcome: str = "it is not recorded") -> None:
        """Logs why a call is not recorded, or a setting not used; if strict, raises the error."""
        if self.is_strict:
            raise error
        key = (what, f"{type(error).__name__}: {error}")
        self._times[what] += 1
        if key not in self._seen:
            self._logged[what] += 1
            if len(self._seen) < _MOST_SEEN:
                self._seen.add(key)
            _warn(f"{what}: {error} ({type(error).__name__}); {outcome}")

    @contextlib.contextmanager
    def guard(self, what: str, outcome: str = "it is not recorded") -> Iterator[None]:
        """Keeps an error of the block from the training, unless the recorder is strict."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on
            self.refuse(what, error, outcome)

    def summary(self) -> str:
        """Returns the kinds of problems that occurred more often than they were logged."""
        often = (
            (kind, times)
            for kind, times in self._times.items()
            if times > max(1, self._logged[kind])
        )
        return ", ".join(f"{kind} ({times} times)" for kind, times in often)


def _warn(text: str, *, names_place: bool = True) -> None:
    """Logs a warning with the line of the user's code that called Podium."""
    callers = list(_callers())
    # A trainer that calls an integration is a library, and its caller the user's code.
    own = (caller for caller in callers if not _is_installed(caller[0].f_code.co_filename))
    frame, level = next(own, callers[0] if callers else (None, 1))
    if frame is None or frame.f_code.co_filename.endswith("threading.py"):
        _LOGGER.warning("podium: %s", text)
        return
    # Handlers show the message only, unless somebody has configured them.
    place = f"{_shown(frame.f_code.co_filename)}:{frame.f_lineno}: " if names_place else ""
    _LOGGER.warning("podium: %s%s", place, text, stacklevel=level)


def _callers() -> Iterator[tuple[FrameType, int]]:
    """Yields the frames outside of Podium that led to a warning, each with its stack level."""
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
    """Returns a file's path as a user in the working folder would write it."""
    with contextlib.suppress(ValueError, OSError):
        return str(Path(filename).relative_to(Path.cwd()))
    return filename
