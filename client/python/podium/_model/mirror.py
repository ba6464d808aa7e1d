"""Fields of an arm that read as its primary eval's as long as they are left empty.

What was given is in the instance's own dict, and so in copies and pickles; what is read is
computed from the present rows.
"""

from typing import Any, TypeVar

from podium import scoring
from podium._values.base import identical

__all__ = ["drop_aliased", "drop_mirrored", "mirror_primary", "own_fields"]

_T = TypeVar("_T")

_MIRRORS = {
    "eval_metrics": "metrics",
    "eval_breakdowns": "breakdowns",
    "eval_seconds": "eval_seconds",
}


def mirror_primary(cls: type[_T]) -> type[_T]:
    """Makes three fields of a dataclass mirror the primary of its `evals`."""
    for name, source in _MIRRORS.items():
        setattr(cls, name, _mirror(name, source))
    return cls


def own_fields(arm: Any) -> dict[str, Any]:
    """The fields of an arm as they were given, nothing mirrored."""
    given: dict[str, Any] = vars(arm)
    return given


def drop_aliased(arm: Any) -> None:
    """Takes a row's own dict for not given.

    dataclasses.replace() passes on what a mirror read as, which is such a dict.
    """
    given = own_fields(arm)
    for name in ("eval_metrics", "eval_breakdowns"):
        if any(given[name] is getattr(row, _MIRRORS[name]) for row in arm.evals):
            given[name] = {}


def drop_mirrored(arm: Any) -> None:
    """Takes what is identical to the primary's for not given.

    An arm that comes from a server has its mirrors filled in. They go on mirroring when rows
    are added, and are not sent back as a claim of the caller's.
    """
    row = scoring.primary(arm.evals)
    given = own_fields(arm)
    for name, source in _MIRRORS.items() if row is not None else ():
        if identical(given[name], getattr(row, source)):
            given[name] = None if name == "eval_seconds" else {}


def _mirror(name: str, source: str) -> property:
    def read(arm: Any) -> Any:
        given = own_fields(arm)[name]
        row = scoring.primary(arm.evals) if given in (None, {}) else None
        return given if row is None else getattr(row, source)

    def write(arm: Any, given: Any) -> None:
        own_fields(arm)[name] = given

    return property(read, write)
