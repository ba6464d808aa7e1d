"""Caches the responses of rankings until the ranking changes.

A ranking of completed arms changes only when a completed arm changes, while running arms change the
experiment all the time. So each response is cached with the revision in which its ranking last
changed. Fields that change more often are not cached.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["RankingCache"]

A = TypeVar("A")


@dataclass(slots=True)
class _Kept(Generic[A]):
    revision: int
    answer: A
    size: int


class RankingCache(Generic[A]):
    """Caches responses up to a number of bytes. The least recently used ones are removed first."""

    def __init__(self, most_bytes: int) -> None:
        self._room = most_bytes
        self._kept: OrderedDict[bytes, _Kept[A]] = OrderedDict()

    def find(self, question: bytes, revision: int) -> A | None:
        """Returns the response that was cached for a request at this revision, or None."""
        kept = self._kept.get(question)
        if kept is None or kept.revision != revision:
            return None
        self._kept.move_to_end(question)
        return kept.answer

    def keep(self, question: bytes, revision: int, answer: A, size: int) -> None:
        """Caches the response to a request, with its size in bytes."""
        before = self._kept.pop(question, None)
        self._room += 0 if before is None else before.size
        self._kept[question] = _Kept(revision, answer, size + len(question))
        self._room -= size + len(question)
        while self._room < 0:
            self._room += self._kept.popitem(last=False)[1].size
