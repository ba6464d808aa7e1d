"""Types of arguments. They let a type checker find more mistakes than `str` or `int` would.

Attributes of results have plain types instead, because a newer server may send a status that this
version does not know.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol, SupportsIndex, TypeAlias

from podium._values.enums import ArmStatus, Direction, ExperimentStatus

__all__ = [
    "ArmStatusLike",
    "ArmStatuses",
    "CompareKind",
    "ConfigFilters",
    "DirectionLike",
    "ExperimentStatuses",
    "FinalStatus",
    "StepLike",
    "Strings",
]

ArmStatusLike: TypeAlias = (
    ArmStatus | Literal["pending", "running", "completed", "failed", "cancelled"]
)
ArmStatuses: TypeAlias = ArmStatusLike | Iterable[ArmStatusLike]
"""A filter by one status or several."""

FinalStatus: TypeAlias = ArmStatus | Literal["completed", "failed", "cancelled"]
"""The status of an arm whose training has ended."""

_ExperimentStatusLike: TypeAlias = ExperimentStatus | Literal["running", "completed", "failed"]
ExperimentStatuses: TypeAlias = _ExperimentStatusLike | Iterable[_ExperimentStatusLike]

DirectionLike: TypeAlias = Direction | Literal["maximize", "minimize"]

CompareKind: TypeAlias = Literal["arm", "group"]

ConfigFilters: TypeAlias = Mapping[
    str, bool | int | float | str | tuple[float | None, float | None] | None
]
"""Conditions on a run_config: the expected value, or the range of numbers, by path."""

StepLike: TypeAlias = SupportsIndex | float
"""An integer of any library, or a float without a fraction."""


class _StringContainer(Protocol):
    """A list, tuple or set of strings, and not a string.

    `str.__contains__` takes only a str, so type checkers reject a plain string here.
    """

    def __contains__(self, item: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...


Strings: TypeAlias = _StringContainer | Iterator[str]
"""Several strings. Type checkers reject a single string, because it would be split into letters."""
