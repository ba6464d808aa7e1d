"""Tests of SQLite failures: which error each caller gets, and whether the store stops."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from podium.errors import PodiumError
from podium_server.store.contract import PageLimits
from podium_server.store.filters import ArmFilter
from podium_server.store.sql import metrics
from podium_server.store.sql.reads import Reader
from podium_server.store.sqlite import SqliteStore, group_commit, tokens
from podium_server.store.sqlite.store_file import FileDamagedError
from podium_server.testing.calls import arm, declared, record, row
from podium_server.writes.call import RecordCall

from tests.server.store.places import dump_sqlite

_FULL, _BUSY, _DISK = apsw.FullError("full"), apsw.BusyError("busy"), apsw.IOError("disk")
_DAMAGE = (apsw.CorruptError("corrupt"), apsw.NotADBError("no database"), FileDamagedError("gone"))
_PAGE = PageLimits(10, 2**20)
_DEFECT = ZeroDivisionError("defect")


class _Store:
    """A SQLite store, and how often it has reported that it is broken."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "podium.db"
        self.stops = 0
        self.store = SqliteStore(self.path, self._stop)

    def _stop(self) -> None:
        self.stops += 1

    async def transact(self, kind: type[RecordCall] = RecordCall, *, step: int) -> str:
        """Records a row. Returns the reason of the error, or an empty string."""
        return await _reason(self.store.transact(record(row("val", step), kind=kind)))


async def _reason(call: Awaitable[object]) -> str:
    try:
        await call
    except PodiumError as error:
        return error.reason
    return ""


@pytest.fixture
async def opened(tmp_path: Path) -> Any:
    """Yields an open store with one arm."""
    opened = _Store(tmp_path)
    await opened.store.open()
    await opened.store.transact(record(declared(), arm()))
    yield opened
    await opened.store.close()


def _call_that_raises(error: Exception) -> type[RecordCall]:
    class Failing(RecordCall):
        def derive(self, *_arguments: object) -> Any:
            raise error

    return Failing


def _raise_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> None:
    real, errors = getattr(owner, name), [error]

    def call(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*arguments)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize(
    ("error", "reasons"),
    [
        (_FULL, ("STORAGE_FULL", "STORAGE_FULL", "")),
        (_BUSY, ("OVERLOADED", "OVERLOADED", "")),
        (_DISK, ("INTERNAL", "INTERNAL", "")),
        *((error, ("OUTCOME_UNKNOWN",) * 3) for error in _DAMAGE),
    ],
)
async def test_a_statement_that_fails(
    opened: _Store, error: Exception, reasons: tuple[str, ...]
) -> None:
    """If a statement fails, its call and the earlier calls of the transaction are not stored.

    Later calls are stored, unless the error means that the file is damaged: then the store stops.
    """
    kinds: list[type[RecordCall]] = [RecordCall, _call_that_raises(error), RecordCall]
    calls = (opened.transact(kind, step=step) for step, kind in enumerate(kinds))
    assert tuple(await asyncio.gather(*calls)) == reasons
    assert len(dump_sqlite(opened.path)["evals"]) == reasons.count("")
    assert opened.stops == (error in _DAMAGE)
    assert await opened.transact(step=9) == reasons[2]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (_FULL, "STORAGE_FULL"),
        *((error, "OUTCOME_UNKNOWN") for error in (_BUSY, _DISK, *_DAMAGE)),
    ],
)
async def test_a_commit_that_fails(
    monkeypatch: pytest.MonkeyPatch, opened: _Store, error: Exception, reason: str
) -> None:
    """If a commit finds the disk full, its calls fail, and later calls are stored.

    After any other error of a commit, the outcome of its calls is unknown, and the store stops.
    """
    before = dump_sqlite(opened.path)
    group = opened.store._group
    _raise_once(monkeypatch, group, "_make_durable", error)
    calls = (opened.transact(step=step) for step in range(3))
    assert await asyncio.gather(*calls) == [reason] * 3
    assert dump_sqlite(opened.path) == before
    assert opened.stops == (error is not _FULL)
    assert await opened.transact(step=9) == ("" if error is _FULL else reason)


async def test_a_commit_without_changes(opened: _Store) -> None:
    """Calls that change nothing get their results without a commit that waits for the disk."""
    assert await opened.transact(step=1) == ""
    before = opened.store._group._commit_seconds
    assert await opened.transact(step=1) == ""
    assert opened.store._group._commit_seconds == before


@pytest.mark.parametrize("name", ["Transaction", "notifying"])
async def test_a_defect_outside_of_the_calls(
    monkeypatch: pytest.MonkeyPatch, opened: _Store, name: str
) -> None:
    """After a defect in the group commit itself, all calls end with OUTCOME_UNKNOWN."""
    _raise_once(monkeypatch, group_commit, name, _DEFECT)
    async with asyncio.timeout(60):
        calls = (opened.transact(step=step) for step in range(3))
        assert await asyncio.gather(*calls) == ["OUTCOME_UNKNOWN"] * 3
        assert await opened.transact(step=9) == "OUTCOME_UNKNOWN"
    assert opened.stops == 1


def _reads(opened: _Store) -> list[Callable[[], Awaitable[object]]]:
    """Returns a read of each kind, and a change of the tokens."""
    found = opened.store
    return [
        lambda: found.scores("x", 0, _PAGE, ArmFilter(), []),
        lambda: found.metrics("x", "", _PAGE),
        found.tokens,
        lambda: found.revoke_token("a", 1),
    ]


@pytest.mark.parametrize(
    ("at", "owner", "name"),
    [
        (0, Reader, "scores"),
        (1, metrics, "metrics"),
        (2, tokens, "read_tokens"),
    ],
)
@pytest.mark.parametrize("error", [*_DAMAGE, _DISK])
async def test_a_read_that_meets_damage(
    monkeypatch: pytest.MonkeyPatch,
    opened: _Store,
    at: int,
    owner: Any,
    name: str,
    error: Exception,
) -> None:
    """If a read finds the file damaged, the store stops for all callers.

    If a read fails for another reason, the store continues to work.
    """
    _raise_once(monkeypatch, owner, name, error)
    if error is _DISK:
        with pytest.raises(apsw.IOError):
            await _reads(opened)[at]()
    else:
        assert await _reason(_reads(opened)[at]()) == "SHUTTING_DOWN"
    assert opened.stops == (error is not _DISK)
    assert await opened.transact(step=9) == ("" if error is _DISK else "OUTCOME_UNKNOWN")


async def test_a_stopped_store(opened: _Store) -> None:
    """A stopped store rejects reads and changes of tokens. It reports once that it is broken."""
    for _ in range(2):
        opened.store._group.stop(FileDamagedError("gone"))
    assert opened.stops == 1
    assert {await _reason(read()) for read in _reads(opened)} == {"SHUTTING_DOWN"}
