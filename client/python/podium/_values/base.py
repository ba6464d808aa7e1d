"""The base of the model's dataclasses: comparison and repr."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from math import isnan
from struct import Struct
from typing import Any

from podium._values import coerce

__all__ = ["ModelBase", "identical", "same"]

_DOUBLE = Struct("<d")
_LEVELS, _SCREEN = 4, 1500
"""The most levels of nested results, and the most characters, that a repr shows."""
_UNSET: tuple[Any, ...] = (None, [], {}, ())


@dataclass(eq=False, repr=False)
class ModelBase:
    """The base of the model's dataclasses. It defines `==`, so the dataclasses set `eq=False`.

    Two results with NaN in the same place are equal, so that a result from a server equals the one
    that was recorded. In Python itself, NaN is not equal to NaN.
    """

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        compared = (item.name for item in fields(self) if item.compare)
        return all(same(getattr(self, name), getattr(other, name)) for name in compared)

    def __repr__(self) -> str:
        """Returns the fields that are set, shortened to one screen."""
        texts = (_Repr(level).repr(self) for level in range(_LEVELS, 0, -1))
        return next((text for text in texts if len(text) <= _SCREEN), _Repr(0).repr(self))

    __hash__ = None  # type: ignore[assignment]  # instances are mutable, so not hashable

    def _coerce(self, convert: Callable[[Any, str], Any], *names: str) -> None:
        for name in names:
            setattr(self, name, convert(getattr(self, name), name))

    def _coerce_optional(self, convert: Callable[[Any, str], Any], *names: str) -> None:
        for name in names:
            setattr(self, name, coerce.optional(convert, getattr(self, name), name))


class _Repr(reprlib.Repr):
    """Makes the `repr()` of results: shortens long texts, lists and dicts, and sorts dict keys."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist = level, 4, 2
        self.maxstring = self.maxother = 60

    def repr_instance(self, x: Any, level: int) -> str:
        """Returns the repr of a result, of an enum member, or of another object."""
        if isinstance(x, StrEnum):
            return repr(str(x))
        if not isinstance(x, ModelBase):
            return super().repr_instance(x, level)
        if level <= 0:
            return f"{type(x).__name__}(…)"
        values = ((item, getattr(x, item.name)) for item in fields(x) if item.repr)
        parts = (
            f"{item.name}={self.repr1(value, level - 1)}"
            for item, value in values
            if value not in _UNSET and value != item.metadata.get("unset")
        )
        return f"{type(x).__name__}({', '.join(parts)})"


def same(left: object, right: object) -> bool:
    """Returns whether two values are equal, where NaN equals NaN."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (isnan(left) and isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def identical(left: object, right: object) -> bool:
    """Returns whether two values, and all values nested in them, have the same type and bits.

    1, 1.0 and True are not identical. NaN is identical to NaN with the same bits.
    """
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return _DOUBLE.pack(left) == _DOUBLE.pack(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            identical(item, right[key]) for key, item in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(identical, left, right))
    return left == right
