"""The rule for names: from 1 byte of UTF-8 up to a limit, and no control characters."""

import re

from podium._values.shorten_text import shorten

__all__ = ["MOST_METRIC_BYTES", "MOST_NAME_BYTES", "shown", "wrong_name"]

MOST_NAME_BYTES = 1024
"""The highest limit, in bytes of UTF-8, that a server can set for names."""
MOST_METRIC_BYTES = 2 * MOST_NAME_BYTES + 1
"""The bytes of the longest name of a metric: an eval name, a dot and a key."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN = 60
"""The most characters of an invalid string that an error shows."""


def wrong_name(text: str, most: int) -> str:
    """Returns the end of an error message that says why a name is invalid, or "" if it is valid."""
    size = len(text.encode())
    if not 0 < size <= most:
        what = "is empty" if not text else f"has {size} bytes: {shown(text)}"
        return f"{what}; give 1 to {most} bytes"
    if _CONTROL.search(text):
        return f"contains a control character: {shown(text)}; leave it out"
    return ""


def shown(text: str) -> str:
    """Returns the quoted beginning of an invalid string, for error messages."""
    return repr(shorten(text[: _SHOWN + 1], _SHOWN, size=len))
