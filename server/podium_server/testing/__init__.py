"""Helpers for tests of code that uses Podium: a real server, and a suite for every store.

`podium_server.testing.store_suite` holds the tests that every store must pass; it needs pytest,
pytest-asyncio and pytest's assertions. This module needs none of them.
"""

from podium_server.testing.server import RunningServer, running_server

__all__ = ["RunningServer", "running_server"]
