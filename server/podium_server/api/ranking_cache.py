"""Rankings that were answered before, kept as long as they are right.

The arms that are training record all the time, and the arms that are ranked change when one
completes: a ranking stays right over many revisions. So an answer is kept with the revision in
which its ranking last changed. The fields that change more often are not part of it.
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
    """Holds at most so many bytes of answers; those that were asked for last stay."""

    def __init__(self, most_bytes: int) -> None:
        self._room = most_bytes
        self._kept: OrderedDict[bytes, _Kept[A]] = OrderedDict()

    def find(self, question: bytes, revision: int) -> A | None:
        """The answer to a question, if nothing that it says has changed since."""
        kept = self._kept.get(question)
        if kept is None or kept.revision != revision:
            return None
        self._kept.move_to_end(question)
        return kept.answer

    def keep(self, question: bytes, revision: int, answer: A, size: int) -> None:
        """Keeps the answer of so many bytes to a question, in place of an older one."""
        before = self._kept.pop(question, None)
        self._room += 0 if before is None else before.size
        self._kept[question] = _Kept(revision, answer, size + len(question))
        self._room -= size + len(question)
        while self._room < 0:
            self._room += self._kept.popitem(last=False)[1].size
