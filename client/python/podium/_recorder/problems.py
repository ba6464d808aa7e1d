"""What is wrong with the arguments of one call, and what was done about it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Problem", "Problems"]


class Problem(NamedTuple):
    """One thing that is wrong."""

    field: str
    """The argument or key, such as `metrics['loss']`."""
    text: str
    """What is wrong with it, and what was done."""
    loses: bool
    """Whether something that was logged is not recorded."""
    kind: str
    """Tells apart what was done about it."""


class Problems(list[Problem]):
    """The problems of one call."""

    def lost(self, field: str, why: object) -> None:
        """Notes that an argument, or a part of one, is left out."""
        text = f"{why}; it is left out"
        self.append(Problem(field, text, loses=True, kind="lost"))

    def changed(self, field: str, why: str) -> None:
        """Notes that a part of an argument is left out or shortened."""
        self.append(Problem(field, why, loses=True, kind="changed"))

    def taken(self, field: str, why: str) -> None:
        """Notes that an argument is taken for something else, and nothing is lost."""
        self.append(Problem(field, why, loses=False, kind="taken"))

    @property
    def lose_something(self) -> bool:
        """Whether something that was logged is not recorded."""
        return any(problem.loses for problem in self)
