"""Adapts asyncpg's connections to the interface that `podium_server.store.sql` uses."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg

from podium_server.store.postgres.bridge import wait
from podium_server.store.postgres.dialect import translated
from podium_server.store.postgres.hosts import notice_loss

__all__ = ["Connection", "PooledConnection", "without_nul"]

_FIRST_ROWS, _MOST_ROWS = 16, 1_000


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that calls use one after the other. `host` is the address of its database."""

    def __init__(self, protocol: Any, transport: Any, loop: Any, host: Any, *others: Any) -> None:
        super().__init__(protocol, transport, loop, host, *others)
        self.host = host
        notice_loss(transport)

    @contextmanager
    def warnings(self) -> Iterator[list[str]]:
        """Yields a list to which the warnings of statements are added inside the block."""
        found: list[str] = []

        def note(_connection: Any, message: Any) -> None:
            if message.severity_en == "WARNING":
                found.append(message.message)

        self.add_log_listener(note)
        try:
            yield found
        finally:
            # `remove_log_listener` does nothing if the connection was lost.
            self._log_listeners.clear()


class _Cursor:
    """The result of a statement. The statement runs when its rows are read."""

    def __init__(self, connection: asyncpg.Connection, statement: str, bindings: Any) -> None:
        self._connection = connection
        self._statement = statement
        self._bindings = [without_nul(value) for value in bindings]

    def fetchall(self) -> list[Any]:
        rows = wait(self._connection.fetch(self._statement, *self._bindings))
        return [tuple(row) for row in rows]

    def __iter__(self) -> Iterator[Any]:
        """Yields the rows, which are read in growing pieces within the open transaction."""
        size = _FIRST_ROWS
        cursor = wait(self._connection.cursor(self._statement, *self._bindings))
        while rows := wait(cursor.fetch(size)):
            yield from map(tuple, rows)
            if len(rows) < size:
                return
            size = min(2 * size, _MOST_ROWS)

    def close(self) -> None:
        """Does nothing, since the end of the transaction ends its statements."""


def without_nul(value: Any) -> Any:
    """Returns a value to look up, with each NUL replaced, because PostgreSQL rejects NUL.

    No stored name has a control character. So the replaced text matches no stored name either, and
    it sorts in the same place among them.
    """
    return value.replace("\0", "\1") if isinstance(value, str) and "\0" in value else value


class _Rows:
    """The result of a statement that has run."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def close(self) -> None:
        """Does nothing."""


class Connection:
    """Runs statements on a connection of the pool."""

    def __init__(self, connection: asyncpg.Connection | None) -> None:
        self._connection: Any = connection

    def execute(self, statement: str, bindings: Sequence[Any] = (), /) -> "_Cursor | _Rows":
        """Returns the result of a statement. A SELECT runs later, when its rows are read."""
        cursor = _Cursor(self._connection, translated(statement), bindings)
        return cursor if statement.startswith("SELECT") else _Rows(cursor.fetchall())

    def executemany(self, statement: str, bindings: Iterable[Sequence[Any]], /) -> "_Rows":
        """Runs a statement once for each of the bindings, in one round trip."""
        if bindings := list(bindings):
            wait(self._connection.executemany(translated(statement), bindings))
        return _Rows([])
