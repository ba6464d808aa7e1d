"""Caches the responses of rankings until the ranking changes.

A ranking of completed arms changes only when a completed arm changes, while running arms change the
experiment all the time. So each response is cached with the revision in which its ranking last
changed. Fields that change more often are not cached.
"""

from collections import OrderedDict

__all__ = ["RankingCache"]


class RankingCache:
    """Caches responses up to a number of bytes. The least recently used ones are removed first."""

    def __init__(self, most_bytes: int) -> None:
        self._room = most_bytes
        self._kept: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    def find(self, question: bytes, revision: int) -> bytes | None:
        """Returns the response that was cached for a request at this revision, or None."""
        kept_at, answer = self._kept.get(question, (None, b""))
        if kept_at != revision:
            return None
        self._kept.move_to_end(question)
        return answer

    def keep(self, question: bytes, revision: int, answer: bytes) -> None:
        """Caches the response to a request."""
        if question in self._kept:
            self._room += len(question) + len(self._kept.pop(question)[1])
        self._kept[question] = revision, answer
        self._room -= len(question) + len(answer)
        while self._room < 0:
            oldest, (_, removed) = self._kept.popitem(last=False)
            self._room += len(oldest) + len(removed)
