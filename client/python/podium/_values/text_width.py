"""Measures and pads texts for terminals, where a character may have no or double width."""

from unicodedata import category, east_asian_width

__all__ = ["character_width", "padded", "width_of"]

_INVISIBLE = frozenset({"Mn", "Me", "Cf"})


def width_of(text: str) -> int:
    """Returns the width of a text on a terminal, in characters of single width."""
    return len(text) if text.isascii() else sum(map(character_width, text))


def character_width(character: str) -> int:
    """Returns the width of one character on a terminal: 0, 1 or 2."""
    if category(character) in _INVISIBLE:
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def padded(text: str, width: int, *, is_number: bool = False) -> str:
    """Pads a text with spaces to a width: on the left for a number, and otherwise on the right."""
    padding = " " * (width - width_of(text))
    return padding + text if is_number else text + padding
