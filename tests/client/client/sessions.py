"""Watch sessions without a connection."""

from typing import Any

from podium._client.watching import WatchSession

__all__ = ["session"]


def session(**given: Any) -> WatchSession:
    """Returns the session of a watch of everything, apart from the given settings."""
    settings: dict[str, Any] = {
        "after": None,
        "status": None,
        "group_name": None,
        "name_prefix": None,
        "with_evals": True,
        "with_breakdowns": True,
        "with_series": True,
    }
    return WatchSession("x", **settings | given)
