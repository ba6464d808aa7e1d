"""Makes fields of an arm return the values of the arm's primary eval if they were not set.

Values that were passed to the constructor are kept in the arm's `__dict__`, so copies and pickles
have them, too. All other values are read from the arm's eval rows each time.
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
"""The eval rows whose values were returned as fields of an arm, by the id of the value.

`dataclasses.replace` reads every field and passes it to the constructor. With these rows, the
constructor can distinguish such a value from a value that the user gave.
"""


def mirror_primary(cls: type[_T]) -> type[_T]:
    """Makes the unset fields of an arm class return the primary eval's values. See `_MIRRORS`."""
    for name, source in _MIRRORS.items():
        setattr(cls, name, _mirror(name, source))
    return cls


def own_fields(arm: Any) -> dict[str, Any]:
    """Returns the fields of an arm as they were set. Unset fields are empty or None."""
    given: dict[str, Any] = vars(arm)
    return given


def drop_copied(arm: Any) -> None:
    """Clears the fields of a new arm whose values are copies from a primary eval.

    `dataclasses.replace` makes such copies: it reads each field of the old arm, which may return a
    value of that arm's primary eval, and passes it to the new arm. A cleared field returns the
    value of the new arm's own primary eval.

    If the new arm has no rows, copies are cleared only if `eval_metrics` and `eval_breakdowns` were
    read from the same row. A field is always cleared if its value is the same dict object as in one
    of the new arm's own rows.
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

    A server fills in these fields of an arm. A cleared field returns the value of the primary eval,
    even if a later row becomes primary. A cleared field is not sent back to the server.
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
    """Returns the eval row from which a field's value was read, or None if there is no such row."""
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
