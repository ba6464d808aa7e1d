"""The PostgreSQL store: one database for any number of servers, with group commit."""

from podium_server.store.postgres import transfer
from podium_server.store.postgres.store import PostgresStore

__all__ = ["PostgresStore", "transfer"]
