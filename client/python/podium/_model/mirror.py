"""Fields of an arm that return the values of its primary eval while they are empty.

Given values are in the instance's own dict, and so in copies and pickles. Mirrored values are
computed from the present rows.
"""

from typing import Any, TypeVar
from weakref import WeakValueDictionary

from podium import scoring
from podium._values.base import identical

__all__ = ["drop_copied", "drop_mirrored", "mirror_primary", "own_fields"]

_T = TypeVar("_T")

_MIRRORS = {
    "eval_metrics": "metrics",
    "eval_breakdowns": "breakdowns",
    "eval_seconds": "eval_seconds",
}
_sources: WeakValueDictionary[int, Any] = WeakValueDictionary()
"""The rows whose values were read through a mirror, by the id of the value.

`dataclasses.replace` reads every field and passes it to the constructor. Without this, the
constructor could not distinguish such a value from a given one.
"""


def mirror_primary(cls: type[_T]) -> type[_T]:
    """Makes three fields of a dataclass mirror the primary eval of its `evals`."""
    for name, source in _MIRRORS.items():
        setattr(cls, name, _mirror(name, source))
    return cls


def own_fields(arm: Any) -> dict[str, Any]:
    """Returns the given fields of an arm, without mirrored values."""
    given: dict[str, Any] = vars(arm)
    return given


def drop_copied(arm: Any) -> None:
    """Clears fields whose values were read from the mirrors of another arm, or are a row's own.

    An arm without rows keeps single values: only a copy of the other arm has both dicts of one row.
    """
    given = own_fields(arm)
    rows = {name: _source(given[name], source) for name, source in _MIRRORS.items()}
    is_copy = rows["eval_metrics"] is not None and rows["eval_metrics"] is rows["eval_breakdowns"]
    for name, source in _MIRRORS.items():
        was_read = rows[name] is not None and (arm.evals or is_copy)
        if was_read or (name != "eval_seconds" and _is_aliased(given[name], arm.evals, source)):
            _clear(given, name)


def drop_mirrored(arm: Any) -> None:
    """Clears fields whose values are identical to those of the primary eval.

    An arm from a server has its mirrors filled in. Cleared, they follow the rows when rows are
    added, and are not sent back as given values.
    """
    row = scoring.primary(arm.evals)
    given = own_fields(arm)
    for name, source in _MIRRORS.items() if row is not None else ():
        value = getattr(row, source)
        if identical(given[name], value) and (name != "eval_seconds" or value):
            _clear(given, name)


def _clear(given: dict[str, Any], name: str) -> None:
    given[name] = None if name == "eval_seconds" else {}


def _is_aliased(value: Any, rows: Any, source: str) -> bool:
    return any(value is getattr(row, source) for row in rows)


def _source(value: Any, source: str) -> Any:
    """Returns the row whose value a mirrored field of an arm returned; None if there is none."""
    row = _sources.get(id(value))
    return row if row is not None and getattr(row, source) is value else None


def _mirror(name: str, source: str) -> property:
    def read(arm: Any) -> Any:
        given = own_fields(arm)[name]
        row = scoring.primary(arm.evals) if given in (None, {}) else None
        if row is None:
            return given
        value = getattr(row, source)
        if name == "eval_seconds" and not value:
            return None
        _sources[id(value)] = row
        return value

    def write(arm: Any, given: Any) -> None:
        own_fields(arm)[name] = given

    return property(read, write)
