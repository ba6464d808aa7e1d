"""Shows the URL of a store without its password."""

import re

__all__ = ["shown_url"]

_PASSWORD = re.compile(r"(?<=://)([^:@/?]*):.*@|(?<=password=)[^&]*")


def shown_url(url: str) -> str:
    """Returns the URL of a store with `***` in place of each password.

    A password can contain any character, because the URL can be malformed.
    """
    return _PASSWORD.sub(lambda found: "***" if found[1] is None else f"{found[1]}:***@", url)
