"""What a recorder says to its user, on the logger `podium`: enough of each kind of trouble."""

from __future__ import annotations

import logging
import traceback
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RecorderWarnings"]

_LOGGER = logging.getLogger("podium")

_MOST_TEXTS = 5
"""How many texts of a kind are said: where five keys are wrong, each is worth a line."""


class RecorderWarnings:
    """Says each trouble when it first comes, a few of a kind, and counts them.

    Args:
        is_strict: Whether what cannot be recorded raises its error.
    """

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._times: Counter[str] = Counter()
        self._texts: defaultdict[str, set[str]] = defaultdict(set)

    def say(self, kind: str, text: str) -> None:
        """Says something, unless something of its kind was said; then it is only counted."""
        self._times[kind] += 1
        if self._times[kind] == 1:
            _LOGGER.warning("podium: %s", text)

    def say_unforeseen(self, error: Exception) -> None:
        """Says what should not have happened, with where it did."""
        self.say("unforeseen errors", "".join(traceback.format_exception(error)).strip())

    def refuse(self, what: str, error: Exception) -> None:
        """Says why something is not recorded as it was given; if strict, raises it."""
        if self._is_strict:
            raise error
        kind, text = f"{what}: {type(error).__name__}", f"{error} ({type(error).__name__})"
        self._times[kind] += 1
        said = self._texts[kind]
        if text not in said and len(said) < _MOST_TEXTS:
            said.add(text)
            _LOGGER.warning("podium: %s: %s; it is not recorded, and training goes on", what, text)

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Keeps what goes wrong in a block from the training loop, unless it is to be strict."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.refuse(what, error)

    def summary(self) -> str:
        """What came more often than it was said; empty if nothing did."""
        often = (
            (kind, times)
            for kind, times in self._times.items()
            if times > max(1, len(self._texts.get(kind, ())))
        )
        return ", ".join(f"{kind} ({times} times)" for kind, times in often)
