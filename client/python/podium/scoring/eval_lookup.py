"""Defines which row `eval` returns, and which row is the primary eval."""

from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from podium.scoring.protocols import Row

__all__ = ["find_eval", "precedence", "primary", "primary_class"]


_R = TypeVar("_R", bound=Row)


def find_eval(rows: Iterable[_R], name: str, step: int | None = None) -> _R | None:
    """Returns the row that `eval` returns for a name, or for a name and a step.

    Returns None if there is no such row. Without a step, returns the post-training row if there is
    one, else the in-loop row with the greatest step. If several rows have the same name and step,
    the first one is used.
    """
    named = (row for row in rows if row.name == name)
    if step is not None:
        return next((row for row in named if row.step == step), None)
    return max(named, key=lambda row: precedence(row.step), default=None)


def precedence(step: int | None) -> tuple[bool, int]:
    """Returns a sort key for the rows of one name.

    If no step is given, `eval` returns the row with the greatest key.
    """
    return (True, 0) if step is None else (False, step)


def primary_class(step: int | None, tags: Collection[str], model_ref: str | None) -> int | None:
    """Returns the class of a row. The primary eval of an arm is its first row of the lowest class.

    Class 0: post-training rows tagged `test`. Class 1: other post-training rows. Class 2: in-loop
    rows. None: rows with a model_ref. They belong to another model than the arm's, and are never
    primary.
    """
    if model_ref is not None:
        return None
    if step is not None:
        return 2
    return 0 if "test" in tags else 1


def primary(rows: Iterable[_R]) -> _R | None:
    """Returns the primary eval among rows, or None if there is none.

    The rows must be in the order in which the server first accepted them.
    """
    best: tuple[int, _R] | None = None
    for row in _distinct(rows):
        rank = primary_class(row.step, row.tags, row.model_ref)
        if rank == 0:
            return row
        if rank is not None and (best is None or rank < best[0]):
            best = (rank, row)
    return best[1] if best else None


def _distinct(rows: Iterable[_R]) -> Iterator[_R]:
    """Yields the first row of each name and step."""
    seen: set[tuple[str, int | None]] = set()
    for row in rows:
        identity = (row.name, row.step)
        if identity not in seen:
            seen.add(identity)
            yield row
