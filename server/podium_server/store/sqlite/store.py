"""The SQLite store: opening and closing its file, and the way from calls to connections."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from podium_server.store.contract import (
    ArmView,
    Call,
    ChangeListener,
    Page,
    PageLimits,
    Store,
    StoreError,
)
from podium_server.store.ranking_queries import (
    MemberRow,
    RankPage,
    RankQuery,
    RankTally,
    ScoreMatrix,
)
from podium_server.store.rows import ArmRow, EvalKey, ExperimentRow, Score
from podium_server.store.sqlite import schema
from podium_server.store.sqlite.connection import (
    check_version,
    connect,
    make_log_durable,
    one_state,
)
from podium_server.store.sqlite.group_commit import GroupCommit
from podium_server.store.sqlite.matrix import Matrix
from podium_server.store.sqlite.rankings import Ranker
from podium_server.store.sqlite.reads import Reader
from podium_server.store.sqlite.slow_reads import SlowReads

__all__ = ["SqliteStore"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_FEW_SCORES = 25_000
"""How many scores are looked up while others wait for it."""
_CHECKPOINT_PAGES = 4_000


class SqliteStore(Store):
    """Keeps results in one file of this machine, for one server at a time.

    `on_broken` is called when a commit failed in a way that leaves its outcome unknown.
    """

    def __init__(self, path: Path, on_broken: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._on_broken = on_broken
        self._lock: int | None = None

    async def open(self) -> None:
        """Opens the file, or creates it; migrates older ones."""
        check_version(apsw.sqlite_lib_version())
        self._lock = _lock(self._path)
        try:
            self._open()
        except apsw.Error as error:
            os.close(self._lock)
            raise StoreError(f"cannot open {self._path}: {error}") from error
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> None:
        if schema.is_marked(self._path):
            make_log_durable(self._path)
        _create_for_this_user(self._path)
        self._writing = connect(self._path)
        schema.check(self._writing, str(self._path))
        schema.mark(self._writing)
        if self._writing.pragma("journal_mode", "wal") != "wal":
            raise StoreError(
                f"{self._path} can't have a write-ahead log; give a file on a local disk"
            )
        self._writing.pragma("synchronous", "full")
        self._writing.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
        schema.migrate(self._writing)
        self._reading = self._connect_to_read()
        self._reader = Reader(self._reading)
        self._matrix = Matrix(self._reading, self._reader.one_state)
        self._ranker = Ranker(self._reading, self._reader.one_state)
        self._slow_reads = SlowReads(self._connect_to_read)
        self._group = GroupCommit(self._writing, self._on_broken)
        self._group.listen(self._reader)

    def _connect_to_read(self) -> apsw.Connection:
        connection = connect(self._path)
        connection.pragma("query_only", 1)
        return connection

    async def close(self) -> None:
        """Finishes the calls that wait, and closes the file."""
        await self._group.close()
        self._slow_reads.close()
        try:
            self._reading.close()
            self._writing.close()
        except apsw.Error:
            _log.exception("%s could not be tidied up; the next start does it", self._path)
        if self._lock is not None:
            os.close(self._lock)

    def listen(self, listener: ChangeListener) -> None:
        """See Store."""
        self._group.listen(listener)

    async def transact(self, call: Call[T]) -> T:
        """Runs a call in a transaction that it may share with others."""
        return await self._group.submit(call)

    def trace(self, sink: Callable[[str, Any], None]) -> None:
        """Tells every statement of writes from now on, with its bindings: for benchmarks."""

        def tell(_cursor: apsw.Cursor, statement: str, bindings: Any) -> bool:
            sink(statement, bindings)
            return True

        self._writing.exec_trace = tell

    async def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """See Store."""
        return self._reader.eval(experiment, arm, name, step)

    async def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """See Store."""
        return self._reader.score(experiment, arm, candidates)

    async def arm(
        self, experiment: str, arm: str, limits: PageLimits
    ) -> tuple[ArmView, Page[bytes]]:
        """See Store."""
        return self._reader.arm(experiment, arm, limits)

    async def arms(
        self, experiment: str, after: int, limits: PageLimits, accepts: Callable[[ArmRow], bool]
    ) -> Page[ArmView]:
        """See Store."""
        return self._reader.arms(experiment, after, limits, accepts)

    async def evals(
        self,
        experiment: str,
        arm: str,
        after: int,
        limits: PageLimits,
        accepts: Callable[[EvalKey], bool],
    ) -> Page[bytes]:
        """See Store."""
        return self._reader.evals(experiment, arm, after, limits, accepts)

    async def experiment(self, experiment: str) -> ExperimentRow:
        """See Store."""
        return self._reader.experiment(experiment)

    async def experiments(
        self,
        prefix: str,
        after: str,
        limits: PageLimits,
        accepts: Callable[[ExperimentRow], bool],
    ) -> Page[ExperimentRow]:
        """See Store."""
        return self._reader.experiments(prefix, after, limits, accepts)

    async def ranking_state(self, experiment: str) -> tuple[ExperimentRow, int]:
        """See Store."""
        return self._ranker.state(experiment)

    async def rank(
        self, experiment: str, ask: Callable[[ExperimentRow], RankQuery], limits: PageLimits
    ) -> RankPage:
        """See Store."""
        page = self._ranker.rank(experiment, ask, limits)
        if page is not None:
            return page
        return await self._slow_reads.run(
            lambda connection: _ranker(connection).rank_slowly(experiment, ask, limits)
        )

    async def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        accepts: Callable[[ArmRow], bool],
        metrics: Sequence[Sequence[tuple[str | None, str]]],
    ) -> ScoreMatrix:
        """See Store."""
        asked = (experiment, after, limits, accepts, metrics)
        if limits.rows * sum(map(len, metrics)) <= _FEW_SCORES:
            return self._matrix.scores(*asked)
        return await self._slow_reads.run(
            lambda connection: Matrix(connection, lambda: one_state(connection)).scores(*asked)
        )

    async def members(
        self,
        experiment: str,
        ask: Callable[[ExperimentRow], RankQuery],
        fold: Callable[[Iterable[MemberRow], RankTally], T],
    ) -> T:
        """See Store."""
        if self._ranker.is_small(experiment):
            return self._ranker.members(experiment, ask, fold)
        return await self._slow_reads.run(
            lambda connection: _ranker(connection).members(experiment, ask, fold)
        )


def _ranker(connection: apsw.Connection) -> Ranker:
    return Ranker(connection, lambda: one_state(connection))


def _create_for_this_user(path: Path) -> None:
    """Makes a new file that only this user can read; its log takes over the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _lock(path: Path) -> int:
    """Holds the file for this process, until it ends in whatever way."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StoreError(
            f"another server holds {path}; stop it, ask it, or give this one another store"
        ) from error
    return lock
