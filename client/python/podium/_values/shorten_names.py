"""Shortens names for tables and pictures so that different names stay different."""

import re
from collections.abc import Sequence
from itertools import groupby

__all__ = ["LONGEST_NAME", "shorten_names"]

LONGEST_NAME = 40
"""The default length to which names are shortened, in characters."""

_ELLIPSIS = "…"
_LEAST_RUN = 4
"""Words that all names share become an ellipsis if they have more characters than this."""
_PARTS = re.compile(r"([_/,; ]+)")
_WORDS = re.compile(r"([\W_]+)")


def shorten_names(names: Sequence[str], length: int = LONGEST_NAME) -> list[str]:
    """Shortens each name to at most `length` characters. Different names stay different.

    The words in which long names differ are kept. Words and numbers are kept whole if possible, so
    that `rank128` does not become `rank12…`. A shortened name is longer than `length` only if it
    would otherwise be equal to another one.
    """
    result = {name: name for name in names}
    too_long = [name for name in result if len(name) > length]
    result.update(zip(too_long, _shortened_alike(too_long, length), strict=True))
    for same in _colliding(result):
        result.update(zip(same, _by_differences(same, _WORDS, length), strict=True))
    for same in _colliding(result):
        result.update({name: name for name in same})
    return [result[name] for name in names]


def _shortened_alike(names: Sequence[str], length: int) -> Sequence[str]:
    for separators in (_PARTS, _WORDS) if len(names) > 1 else ():
        found = _by_differences(names, separators, length)
        if max(map(len, found)) <= length:
            return found
    return [_shorten(name, length) for name in names]


def _colliding(result: dict[str, str]) -> list[list[str]]:
    ordered = sorted(result, key=lambda name: (result[name], name))
    found = (list(same) for _, same in groupby(ordered, key=lambda name: result[name]))
    return [same for same in found if len(same) > 1]


def _shorten(name: str, length: int) -> str:
    if len(name) <= length:
        return name
    half = (length - 1) // 2
    return name[: _cut(name, half)] + _ELLIPSIS + _mirrored(name, half)


def _mirrored(name: str, length: int) -> str:
    """Shortens a name to at most `length` of its last characters.

    If possible, they begin with a whole word or number.
    """
    backwards = name[::-1]
    return backwards[: _cut(backwards, length)][::-1]


def _cut(name: str, length: int) -> int:
    """Returns the length of a name's longest beginning that ends with a whole word or number.

    The result is at most `length`. If there is no such beginning, the result is `length`.
    """
    for is_inside in (_is_inside_word, str.isdecimal):
        for end in range(length, 1, -1):
            if not (is_inside(name[end - 1]) and is_inside(name[end])):
                return end
    return length


def _is_inside_word(character: str) -> bool:
    return character.isalnum() or character == "."


def _by_differences(
    names: Sequence[str], separators: re.Pattern[str], length: int
) -> Sequence[str]:
    """Replaces long runs of words that all names have in common by an ellipsis."""
    split = [separators.split(name) for name in names]
    counts = {len(words) for words in split}
    shortest = min(counts)
    start = _common(split)
    end = min(_common([words[::-1] for words in split]), shortest - start)
    equal = [len(set(words)) == 1 for words in zip(*split, strict=False)]

    def is_common(place: int, count: int) -> bool:
        inside = len(counts) == 1 and equal[place]
        return place < start or place >= count - end or inside

    return [
        _joined([(word, is_common(place, len(words))) for place, word in enumerate(words)], length)
        for words in split
    ]


def _joined(words: Sequence[tuple[str, bool]], length: int) -> str:
    """Joins words. Replaces each long run of common words by an ellipsis.

    A run at the start or the end of the name is shortened instead.
    """
    room, parts, done = max(length // 4, _LEAST_RUN), [], 0
    for is_common, group in groupby(words, key=lambda word: word[1]):
        run = list(group)
        text, is_first = "".join(word for word, _ in run), done == 0
        done += len(run)
        if not is_common or len(text) <= _LEAST_RUN:
            parts.append(text)
        elif is_first:
            parts.append(text if len(text) <= room else text[: _cut(text, room)] + _ELLIPSIS)
        elif done == len(words):
            parts.append(text if len(text) <= room else _ELLIPSIS + _mirrored(text, room))
        else:
            parts.append(_ELLIPSIS)
    return "".join(parts)


def _common(split: Sequence[Sequence[str]]) -> int:
    """Returns how many words at the beginning are equal in all names."""
    columns = enumerate(zip(*split, strict=False))
    shortest = min(map(len, split))
    return next((place for place, words in columns if len(set(words)) > 1), shortest)
