"""Tests of the SQLite store: rejected files, other programs that use a file, costs of reads."""

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from podium.errors import PodiumError
from podium_server.store.contract import PageLimits, StoreError
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter
from podium_server.store.open import open_store
from podium_server.store.sqlite import SqliteStore, group_commit, schema
from podium_server.store.sqlite.connection import check_version
from podium_server.testing.calls import arm, declared, delete_arm, record, row, started

from tests.each import each
from tests.server.store.places import SqlitePlace, dump_sqlite, opened

_PAGE = PageLimits(10, 2**20)


@pytest.fixture
def place(tmp_path: Path) -> SqlitePlace:
    """Returns the place of a SQLite store, which has no file yet."""
    return SqlitePlace(tmp_path)


@each("version", ["3.7.0", "3.40.1", "3.50.99", "3.51.2", "3.51.2.7"])
def test_unsafe_versions_are_rejected(version: str) -> None:
    """A SQLite version that can lose commits is rejected. The error names a safe version."""
    with pytest.raises(StoreError, match=r"3\.51\.3"):
        check_version(version)


@each("version", ["3.51.3", "3.51.10", "3.54.0", "4.0.0"])
def test_safe_versions_are_accepted(version: str) -> None:
    """Safe SQLite versions are accepted. Their parts are compared as numbers, not as text."""
    check_version(version)


def _made(path: Path, *statements: str) -> bytes:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()
    return path.read_bytes()


async def _refused(path: Path) -> str:
    with pytest.raises(StoreError) as raised:
        await SqliteStore(path).open()
    return str(raised.value)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE theirs (x)"],
        ["PRAGMA application_id = 42", "CREATE TABLE theirs (x)"],
        ["PRAGMA application_id = 42", "PRAGMA user_version = 1"],
    ],
)
async def test_another_programs_database_is_rejected_and_not_changed(
    place: SqlitePlace, statements: list[str]
) -> None:
    """A database of another program is rejected, and no byte of its file changes."""
    before = _made(place.path, *statements)
    assert "a database of another program" in await _refused(place.path)
    assert place.path.read_bytes() == before


async def test_a_file_that_is_not_a_database_is_not_overwritten(place: SqlitePlace) -> None:
    """A file that is not a database is rejected and not overwritten."""
    place.path.write_bytes(b"not a database " * 100)
    assert str(place.path) in await _refused(place.path)
    assert place.path.read_bytes() == b"not a database " * 100


async def test_a_newer_schema_is_rejected_and_not_changed(place: SqlitePlace) -> None:
    """A file of a newer server is rejected and not changed. The error asks for a newer server."""
    async with opened(place) as store:
        await store.transact(record(declared()))
    before = _made(
        place.path, "PRAGMA journal_mode = delete", f"PRAGMA user_version = {schema.VERSION + 1}"
    )
    assert "start a newer podium" in await _refused(place.path)
    assert place.path.read_bytes() == before


@pytest.mark.parametrize("where", ["missing/podium.db", "."])
async def test_an_invalid_path(tmp_path: Path, where: str) -> None:
    """`open` fails if the path is a folder, or is in a missing folder, which the error names."""
    error = await _refused(tmp_path / where)
    assert "cannot open" in error
    assert (f"there is no folder {tmp_path / 'missing'}" in error) == (where != ".")


@pytest.mark.parametrize("url", ["podium.db", "sqlite:///", "sqlite:///:memory:", "mysql://x/y"])
async def test_an_invalid_url(url: str) -> None:
    """The error about an invalid URL of a store shows the form of a valid one."""
    with pytest.raises(StoreError, match="give sqlite:///FILE"):
        await open_store(url)


async def test_an_empty_file_becomes_a_store(place: SqlitePlace) -> None:
    """An empty file is migrated from version 0 to the current one, and marked as Podium's."""
    place.path.touch()
    async with opened(place) as store:
        await store.transact(record(declared()))
    connection = apsw.Connection(str(place.path))
    assert connection.pragma("user_version") == schema.VERSION
    assert connection.pragma("application_id") == schema.APPLICATION_ID
    connection.close()


async def test_a_migration_is_all_or_nothing(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a migration fails, the file keeps its version and its rows, and can be opened later."""
    async with opened(place) as store:
        await store.transact(record(declared()))
    before = dump_sqlite(place.path)
    steps = (*schema.MIGRATIONS, "CREATE TABLE later (x); CREATE TABLE experiments (x)")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    assert "already exists" in await _refused(place.path)
    monkeypatch.undo()
    assert dump_sqlite(place.path) == before
    async with opened(place) as store:
        assert (await store.experiment("x")).revision == 1


async def test_an_older_file_is_migrated(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of an earlier version is migrated to the current one and keeps its rows."""
    async with opened(place) as store:
        await store.transact(record(declared()))
    steps = (*schema.MIGRATIONS, "CREATE TABLE later (x)")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    async with opened(place) as store:
        assert (await store.experiment("x")).revision == 1
        assert "later" in place.dump()


async def test_a_second_store_of_the_file_is_an_error(place: SqlitePlace) -> None:
    """A second store of one file gets an error, and the first one keeps working."""
    async with opened(place) as store:
        await store.transact(record(declared()))
        assert "another server uses" in await _refused(place.path)
        assert (await store.transact(record(arm()))).revision == 2
    async with opened(place) as store:
        assert (await store.experiment("x")).revision == 2


async def test_a_store_at_the_path_of_a_removed_file(place: SqlitePlace) -> None:
    """After a file is rejected and removed, a store can be opened at the same path."""
    place.path.write_bytes(b"not a database " * 100)
    await _refused(place.path)
    place.path.unlink()
    async with opened(place) as store:
        await store.transact(record(declared()))


class _Holder:
    """Another program, which keeps the file locked so that only it can write."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(str(path))

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_error: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


async def test_writes_wait_for_another_program_and_reads_go_on(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program writes to the file, reads work and writes wait."""
    monkeypatch.setattr(group_commit, "_BUSY_SECONDS", 120)
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        with _Holder(place.path):
            writing = asyncio.create_task(store.transact(record(row("val"))))
            for _ in range(10):
                await asyncio.sleep(0.001)
                assert (await store.experiment("x")).revision == 1
            assert not writing.done()
        assert (await writing).revision == 2


async def test_writes_do_not_wait_for_ever(
    place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program locks the file, writes fail with OVERLOADED.

    The error says after how many seconds to try again.
    """
    monkeypatch.setattr(group_commit, "_BUSY_SECONDS", 0.05)
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        with _Holder(place.path):
            calls = (store.transact(record(row("val", n))) for n in range(3))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {getattr(outcome, "reason", None) for outcome in outcomes} == {"OVERLOADED"}
        assert {getattr(outcome, "retry_after", None) for outcome in outcomes} == {0.25}
        assert (await store.transact(record(row("val")))).revision == 2


async def test_a_store_closes_while_another_program_holds_its_file(place: SqlitePlace) -> None:
    """A store closes even while another program locks its file. A waiting write then fails."""
    async with opened(place) as store:
        await store.transact(record(declared()))
        with _Holder(place.path):
            writing = asyncio.create_task(store.transact(record(arm())))
            await asyncio.sleep(0.01)
            await store.close()
        with pytest.raises(PodiumError):
            await writing
        await store.open()


async def test_a_transaction_in_which_sqlite_fails_is_not_stored(place: SqlitePlace) -> None:
    """If SQLite fails in a call, nothing is stored. The error's metadata has an incident id."""
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        other = apsw.Connection(str(place.path))
        other.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON scores BEGIN SELECT RAISE(ABORT, 'fault'); END"
        )
        before = place.dump()
        with pytest.raises(PodiumError) as raised:
            await store.transact(record(row("val", metrics={"acc": 1})))
        assert raised.value.reason == "INTERNAL"
        assert len(raised.value.metadata["incident"]) == 8
        assert place.dump() == before
        other.execute("DROP TRIGGER fault")
        other.close()
        assert (await store.transact(record(row("val", metrics={"acc": 1})))).revision == 2


# ---- What reads cost: steps of SQLite's virtual machine, counted ---------------------------


class _Steps:
    """Counts the steps of SQLite's virtual machine that a store's reads take."""

    def __init__(self, store: Any) -> None:
        self._connection: apsw.Connection = store._reading
        self._steps = 0

    def _count(self) -> bool:
        self._steps += 1
        return False

    async def of(self, read: Callable[[], Awaitable[object]]) -> int:
        """Returns the steps of one read. Makes it twice, so that its statements are prepared."""
        await read()
        self._steps = 0
        self._connection.set_progress_handler(self._count, 1)
        await read()
        self._connection.set_progress_handler(None)
        return self._steps


@pytest.mark.slow
async def test_a_read_costs_the_same_however_much_there_is(place: SqlitePlace) -> None:
    """A read takes only few more steps with 300 times as many arms, rows and experiments."""
    async with opened(place) as store:
        await store.transact(record(declared(), arm("a0")))
        await store.transact(record(row("v", 7, "a0", metrics={"k": 1}), row("p", None, "a0")))
        before = await _costs(store)
        for start in range(0, 1_000, 250):
            await store.transact(record(*(arm(f"a{n}") for n in range(1 + start, 251 + start))))
            rows = (row("v", n, "a0", metrics={"k": n}) for n in range(8 + start, 258 + start))
            await store.transact(record(*rows))
        for n in range(300):
            await store.transact(record(declared(), experiment=f"y{n}"))
        after = await _costs(store)
    assert {name: after[name] for name in before if after[name] > 1.2 * before[name] + 20} == {}


async def _costs(store: Any) -> dict[str, int]:
    steps = _Steps(store)
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "eval": lambda: store.eval("x", "a0", "v", None),
        "eval at a step": lambda: store.eval("x", "a0", "v", 7),
        "nothing": lambda: store.eval("x", "a0", "nothing", None),
        "score": lambda: store.score("x", "a0", [("v", "k"), (None, "v.k")]),
        "bare score": lambda: store.score("x", "a0", [(None, "k")]),
        "experiment": lambda: store.experiment("x"),
        "arm": lambda: store.arm("x", "a0", PageLimits(1, 2**20)),
        "arms": lambda: store.arms("x", -1, PageLimits(1, 2**20), ArmFilter()),
        "rows": lambda: store.evals("x", "a0", -1, PageLimits(1, 2**20), EvalFilter()),
        "changes": lambda: store.changes("x", 0, None, PageLimits(1, 2**20)),
        "changes later": lambda: store.changes("x", 1, None, PageLimits(1, 2**20)),
        "experiments": lambda: store.experiments(
            "", PageLimits(1, 1), ExperimentFilter(name_prefix="")
        ),
        "experiments by prefix": lambda: store.experiments(
            "", _PAGE, ExperimentFilter(name_prefix="x")
        ),
    }
    return {name: await steps.of(read) for name, read in reads.items()}


async def test_changes_by_another_program_are_used(place: SqlitePlace) -> None:
    """If another program changes the file between two calls, the second call uses its values."""
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        assert (await store.transact(record(row("val", 1), writer="w"))).revision == 2
        shell = apsw.Connection(str(place.path))
        shell.execute("UPDATE experiments SET revision = 7")
        shell.execute("UPDATE streams SET last_sequence = 5")
        shell.close()
        with pytest.raises(PodiumError, match="send from 6 on"):
            await store.transact(record(row("val", 2), writer="w", first=7))
        assert (await store.transact(record(row("val", 2), writer="w", first=6))).revision == 8


async def test_a_deleted_arm_leaves_one_removal(place: SqlitePlace) -> None:
    """When an arm is deleted, one row in `removals` replaces those of the arm's eval rows."""
    async with opened(place) as store:
        await store.transact(record(declared(), started("a", "A", 1)))
        await store.transact(record(row("val", 1), row("val", 2)))
        await store.transact(record(started("a", "B", 2)))
        assert len(place.dump()["removals"]) == 2
        await store.transact(delete_arm("a"))
        assert len(place.dump()["removals"]) == 1


async def test_only_this_user_can_read_a_store(place: SqlitePlace) -> None:
    """Only their owner can use the file, its log and its lock, even with a umask of 0."""
    before = os.umask(0)
    try:
        store = await open_store(place.url)
    finally:
        os.umask(before)
    await store.transact(record(declared()))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.path.parent.iterdir()}
    await store.close()
    assert {"podium.db", "podium.db-wal", "podium.db.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def test_a_closed_store_is_one_file(place: SqlitePlace) -> None:
    """A store that closes also closes its connection for slow reads, so no log is left."""
    store: Any = await open_store(place.url)
    await store.transact(record(declared()))
    await store._read_slowly(lambda _reader: None)
    await store.close()
    left = {file.name for file in place.path.parent.iterdir()}
    assert left <= {"podium.db", "podium.db.lock"}


async def test_a_closed_store_leaves_no_task_and_no_thread(place: SqlitePlace) -> None:
    """After a store is closed, none of its tasks and threads is left."""
    threads = set(threading.enumerate())
    store: Any = await open_store(place.url)
    await store.transact(record(declared()))
    await store._read_slowly(lambda _reader: None)
    await store.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert set(threading.enumerate()) <= threads
