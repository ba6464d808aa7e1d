"""The parts of statements that differ between databases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Condition", "ConfigValue", "Dialect"]

Condition = tuple[str, tuple[Any, ...]]
"""An SQL condition ("" for none) and its bindings."""
ConfigValue = bool | int | float | str | tuple[float, float] | None
"""A value of a configuration, or the inclusive bounds of a number."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The parts of statements that each database writes in its own way.

    Attributes:
        has_tags: The condition that the column `tags` has all tags of a list in JSON.
        has_value: The condition that an arm has a value `v` in its configuration, by experiment
            and path. `{passes}` is replaced by a condition on `v`.
        compared: Returns the condition that `v` equals a value, or is within its bounds.
        score_column: A statement for the arms and scores of one metric, by experiment, a list of
            arms in JSON, eval name and key.
        identity: A statement for the text that identifies the store in the epochs of watches.
    """

    has_tags: str
    has_value: str
    compared: Callable[[ConfigValue], Condition]
    score_column: str
    identity: str
