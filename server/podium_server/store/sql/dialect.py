"""The parts of statements that differ between databases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Condition", "ConfigValue", "Dialect"]

Condition = tuple[str, tuple[Any, ...]]
"""An SQL condition ("" for none) and its bindings."""
ConfigValue = bool | int | float | str | tuple[float, float] | None
"""A value of a run_config, or the inclusive bounds of a number."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The parts of statements that each database writes in its own way.

    Attributes:
        has_tags: The condition that the column `tags` has all tags of a JSON list, which is bound.
        has_value: The condition that an arm has a value `v` in its run_config. Its bindings are the
            experiment and the value's path. `{passes}` is replaced by a condition on `v`.
        compared: Returns the condition that `v` equals a value, or is within its bounds.
        score_column: The statement that selects the arms that have a score on a metric, and these
            scores. Its bindings are the experiment, a JSON list of arms, the eval name and the key.
        pieces: The numbers of rows of the first pieces in which the rank index is read. PostgreSQL
            would sort the whole index for a few rows, unless the statement limits their number.
        identity: The statement that selects the text by which epochs of watches identify the store.
    """

    has_tags: str
    has_value: str
    compared: Callable[[ConfigValue], Condition]
    score_column: str
    pieces: tuple[int, ...]
    identity: str
