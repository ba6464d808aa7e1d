"""The invalid arguments of one call, and how each was handled."""

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
    """The name of the experiment. Empty if it is not known."""
    arm: str | None = None

    def __str__(self) -> str:
        experiment = f" of {shown(self.experiment)}" if self.experiment else ""
        return experiment if self.arm is None else f" of arm {shown(self.arm)}{experiment}"


class Problem(NamedTuple):
    """One invalid argument, or a part of one."""

    field: str
    """The argument or key, such as `metrics['loss']`."""
    why: str
    """The reason why it is invalid. If the value was changed, the text also gives the change."""
    loses: bool
    """Whether some logged value is not recorded."""
    kind: str
    """How the value was handled, and the kind of error. Each kind is logged once for each field."""
    is_left_out: bool = False
    given: object = _NOT_GIVEN
    """The value that is left out, if the warning shows it."""

    @property
    def label(self) -> str:
        """The field, and how its value was handled."""
        return f"{self.field} {'left out' if self.is_left_out else 'changed'}"

    @property
    def text(self) -> str:
        """The reason, and how the value was handled."""
        if not self.is_left_out:
            return self.why
        return f"{self.why}; {'it' if self.given is _NOT_GIVEN else shown(self.given)} is left out"


class Problems(list[Problem]):
    """The problems of one call."""

    arm: str | None = None
    """The arm of the call, if its name is known only after the arguments are checked."""

    def lost(self, field: str, why: object, given: object = _NOT_GIVEN) -> None:
        """Adds the problem that an argument, or a part of one, is left out."""
        kind = f"lost {type(why).__name__}"
        self.append(Problem(field, str(why), loses=True, kind=kind, is_left_out=True, given=given))

    def changed(self, field: str, why: str) -> None:
        """Adds the problem that a part of an argument is left out or shortened."""
        self.append(Problem(field, why, loses=True, kind="changed"))

    def taken(self, field: str, why: str) -> None:
        """Adds the problem that an argument was replaced by another value without losing data."""
        self.append(Problem(field, why, loses=False, kind="taken"))

    @property
    def lose_something(self) -> bool:
        """Whether some logged value is not recorded."""
        return any(problem.loses for problem in self)


def shown(given: object) -> str:
    """Returns the beginning of a value's `repr()`, for warnings."""
    try:
        text = repr(given) if isinstance(given, str) else _REPR.repr(given)
    except Exception:  # noqa: BLE001 - a class whose repr fails
        text = coerce.kind_of(given)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
