"""The SQLite store: opens and closes its file, and passes each call to a connection."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from podium_server.errors import failure
from podium_server.store.contract import StoreError
from podium_server.store.sql.connection import fetch_value
from podium_server.store.sql.reads import Reader
from podium_server.store.sql.store import SqlStore
from podium_server.store.sqlite import schema, tokens
from podium_server.store.sqlite.connection import check_version, connect, make_log_durable
from podium_server.store.sqlite.dialect import SQLITE
from podium_server.store.sqlite.group_commit import DAMAGE, GroupCommit, undone
from podium_server.store.sqlite.slow_reads import SlowReads
from podium_server.store.sqlite.store_file import FileDamagedError, StoreFile
from podium_server.store.tokens import TokenRow

__all__ = ["SqliteStore"]

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)

_CHECKED_BYTES = 4 * 1024 * 1024
"""Files with more bytes are checked in a thread, while the server already answers calls."""
_CHECK_CACHE_KIB = 1024
_INTERRUPT_SECONDS = 0.01
_HAS_CONTENT = "SELECT EXISTS (SELECT 1 FROM experiments) OR EXISTS (SELECT 1 FROM tokens)"


class SqliteStore(SqlStore):
    """Keeps results in one file of this machine, for one server at a time.

    `on_broken` is called once when the file is damaged, or when the outcome of a commit is unknown.
    From then on the store rejects all calls, and the process should end.
    """

    _group: GroupCommit

    def __init__(self, path: Path, on_broken: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._on_broken = on_broken

    async def open(self) -> None:
        """Opens the file, or creates it. Migrates a file of an older version."""
        check_version(apsw.sqlite_lib_version())
        self._file = StoreFile(self._path)
        self._path = self._file.path
        try:
            self._open()
        except BaseException as error:
            self._file.discard()
            self._file.close()
            if isinstance(error, apsw.Error | FileDamagedError):
                raise StoreError(f"cannot open {self._path}: {error}") from error
            raise

    def _open(self) -> None:
        if schema.is_marked(self._file.header()):
            make_log_durable(self._path)
        self._writing = connect(self._path)
        schema.check(self._writing, str(self._path))
        is_checked = self._path.stat().st_size <= _CHECKED_BYTES
        if is_checked:
            _check_content(self._writing)
        schema.mark(self._writing)
        if self._writing.pragma("journal_mode", "wal") != "wal":
            raise StoreError(
                f"{self._path} cannot have a write-ahead log; give a file on a local disk"
            )
        self._writing.pragma("synchronous", "full")
        schema.migrate(self._writing)
        self._page_key = fetch_value(self._writing, "SELECT page_key FROM store")
        schema.identify(self._writing, self._path.stat().st_ino)
        self._reading = self._connect_to_read()
        self._reader = Reader(self._reading, SQLITE, may_share=True)
        self._reading_tokens = self._connect_to_read()
        self._slow_reads = SlowReads(self._connect_to_read)
        self._file.watch(self._writing)
        self._group = GroupCommit(self._writing, self._file, self._on_broken)
        self.listen(self._reader)
        loop = asyncio.get_running_loop()

        def stop(error: Exception) -> None:
            loop.call_soon_threadsafe(self._group.stop, error)

        self._checking = None if is_checked else _CheckBeside(self._connect_to_read, stop)

    def _connect_to_read(self) -> apsw.Connection:
        connection = connect(self._path)
        connection.pragma("query_only", 1)
        return connection

    async def discard(self) -> None:
        """Closes the file, and removes it if `open` has created it and nothing was stored."""
        await self._group.close()
        if not self._group.broken and not fetch_value(self._writing, _HAS_CONTENT):
            self._file.discard()
        await self.close()

    async def close(self) -> None:
        """Finishes the waiting calls, and then closes the file."""
        if self._checking is not None:
            await asyncio.to_thread(self._checking.stop)
        await self._group.close()
        self._slow_reads.close()
        if self._group.broken:
            # The log must not be mixed with pages that another program has written.
            self._writing.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            self._reading_tokens.close()
            self._reading.close()
            self._writing.close()
        except apsw.Error:
            _log.exception(
                "%s: the log could not be merged into the file; the next start does that",
                self._path,
            )
        self._file.close()

    def gauges(self) -> Mapping[str, float]:
        """Returns the bytes of the file with its log, and the number of waiting writes."""
        files = (self._path, Path(f"{self._path}-wal"))
        size = sum(file.stat().st_size for file in files if file.exists())
        return {"store_bytes": size, **self._group.gauges()}

    def trace(self, sink: Callable[[str, Any], None]) -> None:
        """Passes all later statements of writes, with their bindings, to `sink`. For benchmarks."""

        def trace(_cursor: apsw.Cursor, statement: str, bindings: Any) -> bool:
            sink(statement, bindings)
            return True

        self._writing.exec_trace = trace

    async def tokens(self) -> list[TokenRow]:
        """Returns all tokens.

        Uses a separate connection, because other reads can share an older state.
        """
        if self._group.broken:
            raise _stopped()
        try:
            return tokens.read_tokens(self._reading_tokens)
        except DAMAGE as error:
            self._group.stop(error)
            raise _stopped() from error

    async def add_token(self, row: TokenRow) -> None:
        """Adds a token."""
        await self._change_tokens(tokens.add, row)

    async def revoke_token(self, token_id: str, now: int) -> None:
        """Revokes a token."""
        await self._change_tokens(tokens.revoke, token_id, now)

    async def _change_tokens(self, change: Callable[..., None], *arguments: Any) -> None:
        """Changes tokens in a thread, on a separate connection, as `podium token` does."""
        if self._group.broken:
            raise _stopped()
        try:
            await asyncio.to_thread(change, self._path, *arguments)
        except StoreError as error:
            if isinstance(error.__cause__, apsw.Error):
                raise undone(error.__cause__) from error
            raise

    async def _read(
        self, read: Callable[Concatenate[Reader, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Calls a function that reads. If it finds the file damaged, the store stops."""
        if self._group.broken:
            raise _stopped()
        try:
            return read(self._reader, *arguments, **named)
        except DAMAGE as error:
            self._group.stop(error)
            raise _stopped() from error

    async def _read_slowly(
        self, read: Callable[Concatenate[Reader, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Calls a function that reads, in a separate thread."""
        if self._group.broken:
            raise _stopped()
        try:
            return await self._slow_reads.run(lambda reader: read(reader, *arguments, **named))
        except DAMAGE as error:
            self._group.stop(error)
            raise _stopped() from error


class _CheckBeside:
    """Checks the content of a large file in a thread, while the server already answers."""

    def __init__(
        self, connect: Callable[[], apsw.Connection], on_damage: Callable[[Exception], None]
    ) -> None:
        self._connection = connect()
        self._connection.pragma("cache_size", -_CHECK_CACHE_KIB)
        self._on_damage = on_damage
        self._thread = threading.Thread(target=self._run, name="podium-check", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            _check_content(self._connection)
        except apsw.InterruptError:
            return
        except (apsw.Error, FileDamagedError) as error:
            self._on_damage(error)

    def stop(self) -> None:
        """Ends the check, and closes its connection."""
        while self._thread.is_alive():
            # An interrupt before the statement begins has no effect.
            self._connection.interrupt()
            self._thread.join(_INTERRUPT_SECONDS)
        self._connection.close()


def _check_content(connection: apsw.Connection) -> None:
    """Checks every page. Raises FileDamagedError with the first faults that it finds."""
    faults = fetch_value(connection, "PRAGMA quick_check(1)")
    if faults != "ok":
        raise FileDamagedError(f"the file is damaged: {faults}")


def _stopped() -> Exception:
    return failure(
        "SHUTTING_DOWN",
        "the file of the store is damaged, so the server stops; its log has the details",
    )
