"""The embedded store: one SQLite file, one server, group commit, synchronous FULL."""

from podium_server.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
