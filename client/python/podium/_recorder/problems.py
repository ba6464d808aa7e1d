"""What is wrong with the arguments of one call, and what was done about it."""

from __future__ import annotations

import reprlib
from typing import NamedTuple

from podium._values import coerce

__all__ = ["Problem", "Problems", "Target", "shown"]

_SHOWN = 60
_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxlong = _SHOWN
_NOT_GIVEN = object()


class Target(NamedTuple):
    """The arm, or the experiment, that a call was about."""

    experiment: str = ""
    """Empty if it is not known."""
    arm: str | None = None

    def __str__(self) -> str:
        experiment = f" of {shown(self.experiment)}" if self.experiment else ""
        return experiment if self.arm is None else f" of arm {shown(self.arm)}{experiment}"


class Problem(NamedTuple):
    """One thing that is wrong."""

    field: str
    """The argument or key, such as `metrics['loss']`."""
    why: str
    """What is wrong with it; also what was done, unless it is left out."""
    loses: bool
    """Whether something that was logged is not recorded."""
    kind: str
    """Tells apart what was done about it, and which error it is."""
    is_left_out: bool = False
    given: object = _NOT_GIVEN
    """The value that is left out."""

    @property
    def label(self) -> str:
        """The field and what was done about it."""
        return f"{self.field} {'left out' if self.is_left_out else 'changed'}"

    @property
    def text(self) -> str:
        """What is wrong, and what was done."""
        if not self.is_left_out:
            return self.why
        return f"{self.why}; {'it' if self.given is _NOT_GIVEN else shown(self.given)} is left out"


class Problems(list[Problem]):
    """The problems of one call."""

    arm: str | None = None
    """The arm that the call is about, where it is known only afterwards."""

    def lost(self, field: str, why: object, given: object = _NOT_GIVEN) -> None:
        """Notes that an argument, or a part of one, is left out."""
        kind = f"lost {type(why).__name__}"
        self.append(Problem(field, str(why), loses=True, kind=kind, is_left_out=True, given=given))

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


def shown(given: object) -> str:
    """Returns the beginning of a value's repr, for warnings."""
    try:
        text = repr(given) if isinstance(given, str) else _REPR.repr(given)
    except Exception:  # noqa: BLE001 - a class whose repr fails
        text = coerce.kind_of(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
