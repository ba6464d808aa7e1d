"""The SQLite store: one file for one server, with group commit and `synchronous=FULL`."""

from podium_server.store.sqlite import transfer
from podium_server.store.sqlite.copies import back_up, check
from podium_server.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "back_up", "check", "transfer"]
