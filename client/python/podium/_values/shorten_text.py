"""Shortens texts to a size, for messages, errors, tables and stored texts."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

__all__ = ["shorten", "shorten_middle", "utf8_size"]

_ELLIPSIS = "…"


def utf8_size(character: str) -> int:
    """Returns the bytes of a character in UTF-8."""
    return len(character.encode("utf-8", "replace"))


def shorten(text: str, limit: int, size: Callable[[str], int] = utf8_size) -> str:
    """Returns a text within a limit. An ellipsis at the end shows that the text was shortened.

    Args:
        text: The text.
        limit: The size that the result may have. If the ellipsis is larger, the result is empty.
        size: Returns the size of a character. By default, it is the bytes in UTF-8.
    """
    sizes = list(accumulate(map(size, text)))
    if not sizes or sizes[-1] <= limit:
        return text
    room = limit - size(_ELLIPSIS)
    return text[: bisect_right(sizes, room)] + _ELLIPSIS if room >= 0 else ""


def shorten_middle(text: str, limit: int) -> str:
    """Returns a text within a number of bytes. A line in the middle says how many are missing."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    room = max(limit - len(_mark(len(raw)).encode()), 0)
    head = raw[: room - room // 2].decode(errors="ignore")
    tail = raw[len(raw) - room // 2 :].decode(errors="ignore")
    return head + _mark(len(raw) - len((head + tail).encode())) + tail


def _mark(missing: int) -> str:
    return f"\n{_ELLIPSIS} {missing:,} bytes left out {_ELLIPSIS}\n"
