"""Helpers for tests of code that uses Podium: a real server, and a suite for every store.

`podium_server.testing.store_suite` holds the tests that every store must pass. It needs pytest and
pytest-asyncio. This module needs neither of them.
"""

from podium_server.testing.server import RunningServer, running_server

__all__ = ["RunningServer", "running_server"]
