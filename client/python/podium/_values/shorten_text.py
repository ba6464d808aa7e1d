"""Shortens texts to a size, for messages, errors, tables and stored texts."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

__all__ = ["first_names", "shorten", "shorten_middle", "utf8_size"]

_ELLIPSIS = "…"


def utf8_size(text: str) -> int:
    """Returns the number of bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "replace"))


def shorten(text: str, limit: int, size: Callable[[str], int] = utf8_size) -> str:
    """Shortens a text to a limit. A shortened text ends with an ellipsis.

    Args:
        text: The text.
        limit: The greatest size of the result. If the ellipsis alone is larger, the result is
            empty.
        size: Returns the size of a character. By default, the size is the number of bytes in UTF-8.
    """
    sizes = list(accumulate(map(size, text)))
    if not sizes or sizes[-1] <= limit:
        return text
    room = limit - size(_ELLIPSIS)
    return text[: bisect_right(sizes, room)] + _ELLIPSIS if room >= 0 else ""


def first_names(names: Sequence[str], most: int = 10) -> str:
    """Returns the first `most` names, joined by commas, and how many more names there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def shorten_middle(text: str, limit: int) -> str:
    """Shortens a text to `limit` bytes of UTF-8.

    A line with the number of bytes that are left out replaces the middle of the text.
    """
    raw = text.encode()
    if len(raw) <= limit:
        return text
    room = limit - len(_mark(len(raw)).encode())
    if room <= 0:
        return raw[:limit].decode(errors="ignore")
    head = raw[: room - room // 2].decode(errors="ignore")
    tail = raw[len(raw) - room // 2 :].decode(errors="ignore")
    return head + _mark(len(raw) - len((head + tail).encode())) + tail


def _mark(missing: int) -> str:
    return f"\n{_ELLIPSIS} {missing:,} bytes left out {_ELLIPSIS}\n"
