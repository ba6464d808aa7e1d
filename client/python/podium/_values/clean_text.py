"""Makes the control characters of a text visible, so that they cannot control a terminal."""

import re

__all__ = ["clean"]

# Recorded texts must neither control a terminal nor change the reading direction.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Returns a text with its control characters in visible form."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
