"""Answers that were given before, kept until what they say may have changed.

A dashboard asks the same questions again and again, and most arms don't change in between. The
cache is told of every commit before and after it happens (`podium_server.store.contract`), so
an answer from it is never older than one from the store: while a commit is under way, what it
changes is answered from the store and kept by nobody.
"""

from collections import defaultdict
from collections.abc import Collection

from podium_server.store.contract import Subject

__all__ = ["AnswerCache", "KeptAnswers"]

_ENTRY_BYTES = 400
"""What an entry takes beside its request and answer, about."""


class KeptAnswers:
    """The answers of one rpc, by the bytes of the request."""

    def __init__(self, cache: "AnswerCache") -> None:
        self._cache = cache
        self.answers: dict[bytes, bytes] = {}
        self.find = self.answers.get

    @property
    def moment(self) -> int:
        """When a question is asked: to be noted before the store is asked."""
        return self._cache.moment

    def keep(self, request: bytes, subject: Subject, answer: bytes, moment: int) -> None:
        """Keeps an answer, unless its subject may have changed since the question's moment."""
        if self._cache.admits(subject, moment, len(request) + len(answer)):
            self.answers[request] = answer
            self._cache.note(subject, self.answers, request)


class AnswerCache:
    """Holds at most so many bytes of answers; when they are used up, it begins anew."""

    def __init__(self, most_bytes: int) -> None:
        self.moment = 0
        self._most_bytes = most_bytes
        self._room = most_bytes
        self._rpcs: list[KeptAnswers] = []
        self._changing: set[Subject] = set()
        self._kept: defaultdict[Subject, list[tuple[dict[bytes, bytes], bytes]]]
        self._kept = defaultdict(list)

    def rpc(self) -> KeptAnswers:
        """A place for the answers of one more rpc."""
        self._rpcs.append(KeptAnswers(self))
        return self._rpcs[-1]

    def admits(self, subject: Subject, moment: int, size: int) -> bool:
        """Whether an answer may be kept; makes room for it."""
        size += _ENTRY_BYTES
        if moment != self.moment or size > self._most_bytes or self._is_changing(subject):
            return False
        if size > self._room:
            self._clear()
        self._room -= size
        return True

    def note(self, subject: Subject, answers: dict[bytes, bytes], request: bytes) -> None:
        """Notes where an answer about a subject is kept."""
        self._kept[subject].append((answers, request))

    def changing(self, subjects: Collection[Subject]) -> None:
        """A commit begins that changes these: from now on they are answered by the store."""
        self._changing.update(subjects)
        self._forget(subjects)

    def changed(self, subjects: Collection[Subject]) -> None:
        """That commit has ended, in whatever way."""
        self._changing.difference_update(subjects)
        self.moment += 1

    def _is_changing(self, subject: Subject) -> bool:
        return subject in self._changing or (subject[0], None) in self._changing

    def _forget(self, subjects: Collection[Subject]) -> None:
        for experiment, arm in subjects:
            if arm is None:
                for kept in [kept for kept in self._kept if kept[0] == experiment]:
                    self._forget_arm(kept)
            else:
                self._forget_arm((experiment, arm))

    def _forget_arm(self, subject: Subject) -> None:
        for answers, request in self._kept.pop(subject, ()):
            answer = answers.pop(request, b"")
            self._room += len(request) + len(answer) + _ENTRY_BYTES

    def _clear(self) -> None:
        for rpc in self._rpcs:
            rpc.answers.clear()
        self._kept.clear()
        self._room = self._most_bytes
