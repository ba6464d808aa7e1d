"""What callers may pass, and the plain value that it becomes.

Numbers of any library (NumPy, PyTorch, Decimal) become Python's own; containers are copied, so
that a dict which a training loop goes on using does not change what was recorded.
Each function takes `where`, the name of the argument as an error should say it.
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

__all__ = [
    "Metrics",
    "Value",
    "instance_of",
    "integer",
    "kind_of",
    "list_of",
    "member_of",
    "metrics",
    "number",
    "optional",
    "seconds",
    "text",
    "text_map",
    "texts",
    "value",
    "value_map",
    "values",
]

Value: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""Any JSON-like value; lists and dicts hold Values again."""

Metrics: TypeAlias = Mapping[str, SupportsFloat | SupportsIndex]
"""Metrics by key: numbers of any library. NaN and infinities are values."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)

_LEAST, _MOST = -(2**63), 2**63 - 1
# What contains itself ends here; messages that can be read at all are less deep.
_MAX_DEPTH = 64
_LISTS = (list, tuple)
_NUMBER_ERRORS = (TypeError, ValueError, OverflowError, RuntimeError)
"""What libraries raise of something that is no number; PyTorch of a tensor with two."""
_BINARY = (bytes, bytearray, memoryview)


def number(given: Any, where: str) -> float:
    """A float from anything with `__float__` (or `__index__`), which text has not."""
    if type(given) is float:
        return given
    if not isinstance(given, SupportsFloat | SupportsIndex):
        raise TypeError(f"{where} must be a number, not {kind_of(given)}")
    try:
        return float(given)
    except _NUMBER_ERRORS as error:
        if type(error) not in _NUMBER_ERRORS:
            # One of their own, such as that of a device without memory: its class says more.
            raise
        raise type(error)(f"{where} must be a number: {error}") from error


def seconds(given: Any, where: str) -> float:
    """How long something may take: a number, infinity included, and not NaN."""
    result = number(given, where)
    if math.isnan(result):
        raise ValueError(f"{where} must be a number of seconds, not nan")
    return result


def integer(given: Any, where: str) -> int:
    """An int of 64 bits from anything with `__index__` except bool."""
    # The usual case first: whether something fits a protocol takes Python a while to find out.
    if type(given) is not int and (isinstance(given, bool) or not isinstance(given, SupportsIndex)):
        raise TypeError(f"{where} must be an integer, not {kind_of(given)}")
    result = operator.index(given)
    if not _LEAST <= result <= _MOST:
        raise ValueError(f"{where} must be an integer of 64 bits, not {result}")
    return result


def text(given: Any, where: str) -> str:
    """A str; what derives from str (an enum, NumPy's) becomes the plain one."""
    if type(given) is str:
        return given
    if not isinstance(given, str):
        raise TypeError(f"{where} must be a string, not {kind_of(given)}")
    return str.__str__(given)


def optional(convert: Callable[[Any, str], _T], given: Any, where: str) -> _T | None:
    """None, or what `convert` makes of anything else."""
    return None if given is None else convert(given, where)


def member_of(enum: type[_E]) -> Callable[[Any, str], _E]:
    """The member of an enum whose text is given."""

    def member(given: Any, where: str) -> _E:
        try:
            return enum(given)
        except ValueError:
            known = ", ".join(enum)
            raise ValueError(f"{where} must be one of {known}; not {given!r}") from None

    return member


def instance_of(kind: type[_T]) -> Callable[[Any, str], _T]:
    """The object given, which must be of a class."""

    def instance(given: Any, where: str) -> _T:
        if not isinstance(given, kind):
            raise TypeError(f"{where} must be of type {kind.__name__}, not {kind_of(given)}")
        return given

    return instance


def list_of(kind: type[_T]) -> Callable[[Any, str], list[_T]]:
    """A list of objects of a class."""
    instance = instance_of(kind)

    def instances(given: Iterable[Any], where: str) -> list[_T]:
        return [instance(item, f"{where}[{index}]") for index, item in enumerate(given)]

    return instances


def texts(given: Iterable[Any], where: str) -> list[str]:
    """A list of str; a single str is refused, since it would become its letters."""
    if type(given) not in _LISTS and (isinstance(given, str) or not isinstance(given, Iterable)):
        raise TypeError(f"{where} must be a list of strings, not {kind_of(given)}")
    return [
        item if type(item) is str else text(item, f"{where}[{index}]")
        for index, item in enumerate(given)
    ]


def text_map(given: Mapping[Any, Any], where: str) -> dict[str, str]:
    """A dict of str to str."""
    return {
        text(key, f"a key of {where}"): text(item, f"{where}[{key!r}]")
        for key, item in _mapping(given, where).items()
    }


def metrics(given: Mapping[Any, Any], where: str) -> dict[str, float]:
    """A dict of str to float, from numbers of any kind."""
    # Every number that is logged comes by here: what needs no conversion costs no call, no text.
    return {
        key if type(key) is str else text(key, f"a key of {where}"): item
        if type(item) is float
        else number(item, f"{where}[{key!r}]")
        for key, item in _mapping(given, where).items()
    }


def value_map(given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """A dict of str to Value; keys of other types become their text."""
    return _value_map(given, where, 1)


def values(given: Sequence[Any], where: str) -> list[Any]:
    """A list of Values."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{where} must be a list, not {kind_of(given)}")
    return [_value(item, f"{where}[{index}]", 1) for index, item in enumerate(given)]


def value(given: Any, where: str) -> Value:
    """A Value: None, bool, int, float, str, or a list or dict of them.

    Tuples and other sequences become lists, mappings become dicts with str keys; arrays,
    tensors and their scalars become what their `tolist()` says.

    Raises:
        TypeError: for what has no such form (bytes, sets, objects).
        ValueError: for an int beyond 64 bits, keys of equal text, or too deep a nesting.
    """
    return _value(given, where, 1)


def _value(given: Any, where: str, depth: int) -> Value:
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, str):
        return text(given, where)
    if isinstance(given, int | float):
        return _value_number(given, where)
    return _value_container(given, where, depth)


def _value_container(given: Any, where: str, depth: int) -> Value:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {_MAX_DEPTH} deep")
    if isinstance(given, Mapping):
        return _value_map(given, where, depth + 1)
    if isinstance(given, Sequence) and not isinstance(given, _BINARY):
        return [_value(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(given)]
    if hasattr(given, "tolist") and not isinstance(given, _BINARY):
        listed = given.tolist()
        if type(listed) is not type(given):
            return _value(listed, where, depth + 1)
    return _value_number(given, where)


def _value_number(given: Any, where: str) -> int | float:
    if isinstance(given, float):
        return float(given)
    if isinstance(given, SupportsIndex):
        return integer(given, where)
    if isinstance(given, SupportsFloat):
        return number(given, where)
    raise TypeError(
        f"{where} must be None, a bool, a number, a string, a list or a dict, not {kind_of(given)}"
    )


def _value_map(given: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in _mapping(given, where).items():
        name = text(key, where) if isinstance(key, str) else str(key)
        if name in result:
            raise ValueError(f"{where} has two keys that read {name!r}")
        result[name] = _value(item, f"{where}[{name!r}]", depth)
    return result


def _mapping(given: Mapping[Any, Any], where: str) -> Mapping[Any, Any]:
    if type(given) is not dict and not isinstance(given, Mapping):
        raise TypeError(f"{where} must be a mapping, not {kind_of(given)}")
    return given


def kind_of(given: Any) -> str:
    """What to call the type of something in an error."""
    return "None" if given is None else type(given).__name__
