"""Converts arguments to plain Python values.

Numbers of any library (NumPy, PyTorch, Decimal) become Python numbers. Containers are copied, so
that later changes of a dict in a training loop do not change the recorded values.
Each function takes `where`, the name of the argument in error messages. A function raises a
TypeError if the argument has a wrong type, and a ValueError if its value is not allowed.
"""

import contextlib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time
from enum import Enum, StrEnum
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

__all__ = [
    "Metrics",
    "Value",
    "boolean",
    "count",
    "instance_of",
    "integer",
    "kind_of",
    "list_of",
    "member_of",
    "metrics",
    "number",
    "optional",
    "own_text",
    "seconds",
    "settings_list",
    "settings_map",
    "text",
    "text_map",
    "texts",
    "value",
    "value_map",
]

Value: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""A JSON-like value. The items of lists and dicts are Values too."""

Metrics: TypeAlias = Mapping[str, SupportsFloat | SupportsIndex]
"""Metrics by key: numbers of any library, including NaN and infinities."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)

_LEAST, _MOST = -(2**63), 2**63 - 1
_MOST_COUNT = 2**31 - 1
_SHOWN_BITS = 128
# This limit also stops at a value that contains itself. Protobuf reads messages of at most 100
# levels, and a value takes two.
_MAX_DEPTH = 40
_LISTS = (list, tuple)
_NUMBER_ERRORS = (TypeError, ValueError, RuntimeError)
"""The errors that libraries raise for a value that is not a single number, such as a vector."""
_UNFIT = (TypeError, ValueError)
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_BOOLS = frozenset({"bool_", "bool"})
_BINARY = (bytes, bytearray, memoryview)


def number(given: Any, where: str) -> float:
    """Converts an object with `__float__` or `__index__` to a float.

    Other objects, such as a str, raise a TypeError.
    """
    if type(given) is float:
        return given
    if not (_has(given, "__float__") or _has(given, "__index__")):
        raise TypeError(f"{where} must be a number, not {kind_of(given)}")
    try:
        return float(given)
    except OverflowError as error:
        raise ValueError(f"{where} must be a number that a double can hold: {error}") from error
    except _NUMBER_ERRORS as error:
        if type(error) not in _NUMBER_ERRORS:
            # The error of a library, such as that of a device without memory, is more specific.
            raise
        raise type(error)(f"{where} must be a number: {error}") from error


def _has(given: object, method: str) -> bool:
    """Returns whether an object has a special method. Checking for a protocol takes much longer."""
    return hasattr(type(given), method)


def seconds(given: Any, where: str) -> float:
    """Returns a duration in seconds: a number, which may be infinite but not NaN."""
    result = number(given, where)
    if math.isnan(result):
        raise ValueError(f"{where} must be a number of seconds, not nan")
    return result


def integer(given: Any, where: str) -> int:
    """Returns a 64-bit int, from an integer of any library or a float without a fraction."""
    # The usual case comes first, because checking for a protocol is slow.
    result = given if type(given) is int else _integral(given, where)
    if not _LEAST <= result <= _MOST:
        bits = result.bit_length()
        shown = result if bits <= _SHOWN_BITS else f"one of {bits:,} bits"
        raise ValueError(f"{where} must be an integer of 64 bits, not {shown}")
    return result


def count(given: Any, where: str) -> int:
    """Converts a value to an int from 0 to 2^31 - 1, such as the size of a page."""
    result = integer(given, where)
    if not 0 <= result <= _MOST_COUNT:
        raise ValueError(f"{where} is {result}; give a number from 0 to {_MOST_COUNT}")
    return result


def _digits(given: int) -> str:
    try:
        return str(given)
    except ValueError:  # Python converts no more than 4,300 decimal digits by default
        return hex(given)


def _integral(given: Any, where: str) -> int:
    # The bool of NumPy has `__float__`, too.
    if not isinstance(given, bool) and type(given).__name__ not in _BOOLS:
        if _has(given, "__index__"):
            with contextlib.suppress(TypeError):  # a tensor of floats has `__index__`, and raises
                return operator.index(given)
        if _has(given, "__float__"):
            floating = number(given, where)
            if floating.is_integer():
                return int(floating)
            raise ValueError(f"{where} must be an integer, not {floating}")
    raise TypeError(f"{where} must be an integer, not {kind_of(given)}")


def boolean(given: Any, where: str) -> bool:
    """Returns a bool, from a bool of Python or of another library."""
    if type(given).__name__ not in _BOOLS:
        raise TypeError(f"{where} must be a bool, not {kind_of(given)}")
    return bool(given)


def text(given: Any, where: str) -> str:
    """Converts a str, such as a member of a StrEnum, to a plain str.

    Raises a ValueError if the str has unpaired surrogates.
    """
    if not isinstance(given, str):
        raise TypeError(f"{where} must be a string, not {kind_of(given)}")
    result = given if type(given) is str else str.__str__(given)
    if not result.isascii():
        _check_encodable(result, where)
    return result


def _check_encodable(given: str, where: str) -> None:
    try:
        given.encode()
    except UnicodeEncodeError:
        error = f"{where} has an unpaired surrogate, which UTF-8 cannot encode: {given!a}"
        raise ValueError(error) from None


def optional(convert: Callable[[Any, str], _T], given: Any, where: str) -> _T | None:
    """Converts a value with `convert`. None stays None."""
    return None if given is None else convert(given, where)


def member_of(enum: type[_E]) -> Callable[[Any, str], _E]:
    """Returns a function that converts a string to the member of an enum with this value."""

    def member(given: Any, where: str) -> _E:
        try:
            return enum(text(given, where))
        except ValueError:
            known = ", ".join(enum)
            raise ValueError(f"{where} must be one of {known}; not {given!r}") from None

    return member


def instance_of(kind: type[_T]) -> Callable[[Any, str], _T]:
    """Returns a function that checks that an object is an instance of a class, and returns it."""

    def instance(given: Any, where: str) -> _T:
        if not isinstance(given, kind):
            raise TypeError(f"{where} must be of type {kind.__name__}, not {kind_of(given)}")
        return given

    return instance


def list_of(kind: type[_T]) -> Callable[[Any, str], list[_T]]:
    """Returns a function that converts an iterable of instances of a class to a list."""
    instance = instance_of(kind)

    def instances(given: Iterable[Any], where: str) -> list[_T]:
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(f"{where} must be a list, not {kind_of(given)}")
        return [instance(item, f"{where}[{index}]") for index, item in enumerate(given)]

    return instances


def texts(given: Iterable[Any], where: str) -> list[str]:
    """Returns a list of str. Rejects a single string, which would be split into letters."""
    is_single = isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable)
    if type(given) not in _LISTS and is_single:
        raise TypeError(f"{where} must be a list of strings, not {kind_of(given)}")
    return [text(item, f"{where}[{index}]") for index, item in enumerate(given)]


def text_map(given: Mapping[Any, Any], where: str) -> dict[str, str]:
    """Returns a dict of str to str."""
    return {
        text(key, f"a key of {where}"): text(item, f"{where}[{key!r}]")
        for key, item in _mapping(given, where).items()
    }


def metrics(given: Mapping[Any, Any], where: str) -> dict[str, float]:
    """Returns a dict of str to float, from numbers of any type."""
    # Every logged number passes here, so values that need no conversion take the shortest path.
    return {
        key if type(key) is str and key.isascii() else text(key, f"a key of {where}"): item
        if type(item) is float
        else number(item, f"{where}[{key!r}]")
        for key, item in _mapping(given, where).items()
    }


def value_map(given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Returns a dict of str to Value. Keys of other types are converted to str."""
    return _value_map(given, where, 1, _refused)


def settings_map(given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Returns a dict of str to Value. Converts other objects, such as paths and enums, to a Value.

    Settings are only shown and compared, so the text of such an object is enough.
    """
    return _value_map(given, where, 1, _setting)


def settings_list(given: Sequence[Any], where: str) -> list[Any]:
    """Returns a list of Values. Converts other objects to a Value, as `settings_map` does."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{where} must be a list, not {kind_of(given)}")
    return [_value(item, f"{where}[{index}]", 1, _setting) for index, item in enumerate(given)]


def value(given: Any, where: str) -> Value:
    """Returns a Value: None, bool, int, float, str, or a list or dict of them.

    Tuples and other sequences become lists, and mappings dicts with str keys. Arrays, tensors and
    their scalars become the result of their `tolist()`.

    Raises:
        TypeError: The value has another type, such as bytes or a set.
        ValueError: An int needs more than 64 bits, two keys become the same string, or the value is
            nested too deeply.
    """
    return _value(given, where, 1, _refused)


_Fallback: TypeAlias = Callable[[Any, str, int], Value]
"""A function that converts an object that is not a Value, or raises a TypeError."""


def _value(given: Any, where: str, depth: int, fallback: _Fallback) -> Value:
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, str):
        return text(given, where)
    if isinstance(given, int | float):
        return _value_number(given, where, depth, fallback)
    return _value_container(given, where, depth, fallback)


def _value_container(given: Any, where: str, depth: int, fallback: _Fallback) -> Value:
    if depth > _MAX_DEPTH:
        field = where.partition("[")[0]
        raise ValueError(
            f"{field} contains itself, or is nested more than {_MAX_DEPTH} levels deep"
        )
    if isinstance(given, Mapping):
        return _value_map(given, where, depth + 1, fallback)
    if isinstance(given, Sequence) and not isinstance(given, _BINARY):
        return [_value(item, f"{where}[{i}]", depth + 1, fallback) for i, item in enumerate(given)]
    if hasattr(given, "tolist") and not isinstance(given, (*_BINARY, type)):
        listed = given.tolist()
        if type(listed) is not type(given):
            return _value(listed, where, depth + 1, fallback)
    return _value_number(given, where, depth, fallback)


def _value_number(given: Any, where: str, depth: int, fallback: _Fallback) -> Value:
    if isinstance(given, float):
        return float(given)
    if _has(given, "__index__"):
        index = operator.index(given)
        if fallback is _setting and not _LEAST <= index <= _MOST:
            return _digits(index)
        return integer(index, where)
    if _has(given, "__float__"):
        # A setting that no float can hold, such as a very large fraction, becomes a string.
        with contextlib.suppress(*_UNFIT if fallback is _setting else ()):
            return number(given, where)
    return fallback(given, where, depth)


def _value_map(
    given: Mapping[Any, Any], where: str, depth: int, fallback: _Fallback
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in _mapping(given, where).items():
        name = _key(key, where)
        if name in result:
            raise ValueError(f"two keys of {where} become the same text {name!r}; rename one")
        result[name] = _value(item, f"{where}[{name!r}]", depth, fallback)
    return result


def _key(given: Any, where: str) -> str:
    if isinstance(given, str):
        return text(given, where)
    return _digits(given) if type(given) is int else str(given)


def _refused(given: Any, where: str, _depth: int) -> Value:
    raise TypeError(
        f"{where} must be None, a bool, a number, a string, a list or a dict, not {kind_of(given)}"
    )


def _setting(given: Any, where: str, depth: int) -> Value:
    """Converts an object in a configuration to a Value.

    Raises a TypeError if the object has no text of its own, or if its text has a memory address,
    which changes with each run.
    """
    if isinstance(given, Enum):
        plain = isinstance(given.value, bool | int | float | str)
        return _value(given.value, where, depth, _setting) if plain else given.name
    if isinstance(given, AbstractSet):
        items = [_value(item, where, depth + 1, _setting) for item in given]
        return sorted(items, key=lambda item: (type(item).__name__, str(item)))
    if isinstance(given, _BINARY):
        with contextlib.suppress(UnicodeDecodeError):
            return bytes(given).decode()
        return _refused(given, where, depth)
    if isinstance(given, date | time):
        return given.isoformat()
    return own_text(given) or _refused(given, where, depth)


def own_text(given: Any) -> str | None:
    """Returns the text of an object, or the full name of a class or function.

    Returns None if the text would contain a memory address, which differs in each run.
    """
    if hasattr(given, "__qualname__"):  # a class or a function
        return f"{getattr(given, '__module__', None) or 'builtins'}.{given.__qualname__}"
    own: Any = type(given)
    if own.__str__ is object.__str__ and own.__repr__ is object.__repr__:
        return None
    shown = str(given)
    return None if _ADDRESS.search(shown) else shown


def _mapping(given: Mapping[Any, Any], where: str) -> Mapping[Any, Any]:
    if type(given) is not dict and not isinstance(given, Mapping):
        raise TypeError(f"{where} must be a mapping, not {kind_of(given)}")
    return given


def kind_of(given: Any) -> str:
    """Returns the name of a value's type for error messages."""
    return "None" if given is None else type(given).__name__
