"""Caches encoded responses until the results that they were computed from change.

A response is cached together with the revision of its experiment. `find` returns it only for the
same revision.
"""

from collections import OrderedDict

from google.protobuf.message import Message

__all__ = ["AnswerCache"]


class AnswerCache:
    """Caches at most `most_bytes` of keys and responses. Removes the least recently used first."""

    def __init__(self, most_bytes: int) -> None:
        self._room = self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    @staticmethod
    def question(request: Message) -> bytes:
        """Returns the key under which the response to a request is cached."""
        return request.DESCRIPTOR.name.encode() + request.SerializeToString(deterministic=True)

    def find(self, question: bytes, revision: int) -> bytes | None:
        """Returns the response that is cached under a key with this revision, or None."""
        kept_at, answer = self._kept.get(question, (None, b""))
        if kept_at != revision:
            return None
        self._kept.move_to_end(question)
        return answer

    def keep(self, question: bytes, revision: int, answer: bytes) -> None:
        """Caches the response to a request, together with a revision.

        A response that is larger than the cache is not cached, and removes no others.
        """
        if question in self._kept:
            self._room += len(question) + len(self._kept.pop(question)[1])
        if len(question) + len(answer) > self._most_bytes:
            return
        self._kept[question] = revision, answer
        self._room -= len(question) + len(answer)
        while self._room < 0:
            oldest, (_, removed) = self._kept.popitem(last=False)
            self._room += len(oldest) + len(removed)
