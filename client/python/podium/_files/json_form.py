"""Converts results to and from plain JSON, for the command line and for files.

Keys are the names of the dataclasses' fields. If a key is missing or null, its field gets the
default. An unknown key is an error, except in a RunConfig, where it becomes a key of `extras`.
Times are ISO 8601 in UTC.

JSON has no NaN and no infinities. In metrics, they are the strings "NaN", "Infinity" and
"-Infinity". In JSON-like values, where "NaN" is an ordinary string, they are written as
`{"$double": "NaN"}`. A dict whose only key is `$double` or `$map` is written as `{"$map": {...}}`,
so that it is not mistaken for one of these forms. Maps are sorted by key, so that equal results
have equal JSON texts. Integers have up to 64 bits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args

from podium._model import results
from podium._model.primary_fields import drop_mirrored
from podium._values import coerce
from podium._values.base import ModelBase

__all__ = ["arm_from_json", "record_from_json", "to_json"]

_R = TypeVar("_R", bound=ModelBase)

_DOUBLE, _MAP = "$double", "$map"
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# ---- Writing -----------------------------------------------------------------------------


def to_json(given: Any) -> Any:
    """Returns a dataclass of results, or a value of one of its fields, as plain JSON."""
    if is_dataclass(given):
        return {item.name: _write_field(item, getattr(given, item.name)) for item in fields(given)}
    if isinstance(given, datetime):
        return given.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(given, float) and not math.isfinite(given):
        return next(text for text, value in _NOT_FINITE.items() if repr(value) == repr(given))
    if isinstance(given, dict):
        return {key: to_json(given[key]) for key in sorted(given)}
    if isinstance(given, list | tuple):
        return [to_json(value) for value in given]
    return str(given) if isinstance(given, str) else given


def _write_field(item: Field[Any], given: Any) -> Any:
    if item.type in (dict[str, Any], list[Any]):
        return _write_items(given)
    return to_json(given)


def _write_items(given: Any) -> Any:
    # Only values inside a field are written as `$double` or `$map`, never the field itself.
    if isinstance(given, list):
        return [_write_value(value) for value in given]
    return {key: _write_value(given[key]) for key in sorted(given)}


def _write_value(given: Any) -> Any:
    if isinstance(given, float) and not math.isfinite(given):
        return {_DOUBLE: to_json(given)}
    if isinstance(given, dict) and len(given) == 1 and not given.keys().isdisjoint((_DOUBLE, _MAP)):
        return {_MAP: _write_items(given)}
    return _write_items(given) if isinstance(given, dict | list) else given


# ---- Reading -----------------------------------------------------------------------------


def arm_from_json(given: Any) -> results.ArmResult:
    """Returns the arm that parsed JSON describes.

    Raises a ValueError that names the wrong key if the JSON is invalid.
    """
    arm = record_from_json(results.ArmResult, given, "arm")
    drop_mirrored(arm)
    return arm


def record_from_json(kind: type[_R], given: Any, where: str) -> _R:
    """Returns an object of the dataclass `kind`, made from a JSON object.

    Raises a ValueError that names `where`, the place of the object, and the wrong key.
    """
    try:
        return _construct(kind, given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from error


def _construct(kind: type[_R], given: Any) -> _R:
    if not isinstance(given, Mapping):
        raise TypeError(f"must be an object, not {coerce.kind_of(given)}")
    known = {item.name: item for item in fields(kind)}
    values = {key: item for key, item in given.items() if item is not None}
    values = _with_extras(kind, values, known)
    read = {name: _read_field(known[name], item) for name, item in values.items()}
    record = kind(**{name: item for name, item in read.items() if known[name].init})
    for name, item in read.items():
        if not known[name].init:
            setattr(record, name, item)
    return record


def _with_extras(
    kind: type, given: dict[str, Any], known: Mapping[str, Field[Any]]
) -> dict[str, Any]:
    """Checks the keys of an object. Moves unknown keys of a RunConfig into its extras."""
    for item in known.values():
        required = item.default is MISSING and item.default_factory is MISSING
        if required and item.name not in given:
            raise ValueError(f"{item.name} is missing")
    unknown = {key: given.pop(key) for key in list(given) if key not in known}
    if unknown and kind is not results.RunConfig:
        raise ValueError(f"unknown key {next(iter(unknown))!r}; the keys are {', '.join(known)}")
    return given | {"extras": _merged(given.get("extras", {}), unknown)} if unknown else given


def _merged(extras: Mapping[str, Any], unknown: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(extras, Mapping):
        raise TypeError(f"extras must be a mapping, not {coerce.kind_of(extras)}")
    twice = extras.keys() & unknown.keys()
    if twice:
        raise ValueError(
            f"{min(twice)!r} is given twice, in run_config and in its extras; leave one out"
        )
    return {**extras, **unknown}


def _read_field(item: Field[Any], given: Any) -> Any:
    target, where = _without_none(item.type), item.name
    if target in (dict[str, Any], list[Any]):
        return _read_items(given)
    if target == dict[str, float]:
        return coerce.metrics(_read_numbers(given), where)
    if target == list[results.EvalResult]:
        return _read_evals(given)
    if isinstance(target, type) and issubclass(target, ModelBase):
        return record_from_json(target, given, where)
    return _SCALARS[target](given, where) if target in _SCALARS else given


def _read_evals(given: Any) -> list[results.EvalResult]:
    if not isinstance(given, list):
        raise TypeError(f"evals must be a list, not {coerce.kind_of(given)}")
    return [
        record_from_json(results.EvalResult, row, f"evals[{index}]")
        for index, row in enumerate(given)
    ]


def _without_none(hint: Any) -> Any:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return next(option for option in options if option is not NoneType)


def _read_items(given: Any) -> Any:
    if isinstance(given, list):
        return [_read_value(value) for value in given]
    if isinstance(given, dict):
        return {key: _read_value(value) for key, value in given.items()}
    return given


def _read_value(given: Any) -> Any:
    if isinstance(given, dict) and given.keys() == {_DOUBLE}:
        return _read_double(given[_DOUBLE])
    if isinstance(given, dict) and given.keys() == {_MAP}:
        return _read_items(given[_MAP])
    return _read_items(given)


def _read_double(given: Any) -> float:
    if given not in _NOT_FINITE:
        raise ValueError(f"{_DOUBLE} must be one of {', '.join(_NOT_FINITE)}; not {given!r}")
    return _NOT_FINITE[given]


def _read_numbers(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    return {key: _read_number(value) for key, value in given.items()}


def _read_number(given: Any) -> Any:
    return _NOT_FINITE.get(given, given) if isinstance(given, str) else given


def _read_time(given: Any, where: str) -> datetime:
    moment = datetime.fromisoformat(coerce.text(given, where))
    if moment.tzinfo is None:
        raise ValueError(f"{where} must have a time zone, such as Z at its end")
    return moment.astimezone(UTC)


def _read_boolean(given: Any, where: str) -> bool:
    if not isinstance(given, bool):
        raise TypeError(f"{where} must be true or false, not {coerce.kind_of(given)}")
    return given


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: coerce.text,
    bool: _read_boolean,
    int: coerce.integer,
    float: lambda given, where: coerce.number(_read_number(given), where),
    datetime: _read_time,
}
