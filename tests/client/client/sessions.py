"""Makes watch sessions without a connection."""

from typing import Any

from podium._client.watching import WatchSession

__all__ = ["session"]


def session(**given: Any) -> WatchSession:
    """Returns a watch session with the given settings. By default, it watches everything."""
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
