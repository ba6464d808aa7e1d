"""A database that takes part in a migration."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from podium_server.store.postgres import schema
from podium_server.store.postgres.bridge import in_greenlet, wait
from podium_server.store.postgres.connection import Connection, PooledConnection
from podium_server.store.postgres.dialect import POSTGRES
from podium_server.store.postgres.errors import LOST, not_opened
from podium_server.store.postgres.hosts import connect
from podium_server.store.postgres.names import experiment_id
from podium_server.store.shown_url import shown_url
from podium_server.store.sql.transfer import Side

__all__ = ["in_greenlet", "side"]

_CLOSE_SECONDS = 5.0
_OPTIONS = {
    "timeout": 10.0,
    "connection_class": PooledConnection,
    "server_settings": {
        "application_name": "podium migrate",
        # A transaction waits while the other store works.
        "idle_in_transaction_session_timeout": "0",
    },
}
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BEGIN_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED"
_FAILURES = (asyncpg.PostgresError, TimeoutError, *LOST)


@contextmanager
def side(url: str, *, is_source: bool) -> Iterator[Side]:
    """Opens a database to read it or to write to it. Servers may use it while it is read.

    Raises:
        StoreError: The database cannot be opened, or has another version of the schema.
    """
    begin = _BEGIN_READING if is_source else _BEGIN_WRITING
    try:
        connection = wait(connect(url, **_OPTIONS))
    except (ValueError, *_FAILURES) as error:
        raise not_opened(url, error) from error
    try:
        opened = Side(shown_url(url), Connection(connection), POSTGRES, begin, _FAILURES, _new_row)
        with opened.named():
            wait(schema.check_current(connection, opened.name))
        yield opened
    finally:
        wait(connection.close(timeout=_CLOSE_SECONDS))


def _new_row(name: str, _before: int | None) -> Mapping[str, int]:
    return {"id": experiment_id(name), "write_id": secrets.randbits(63)}
