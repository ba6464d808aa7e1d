"""Tests of commands that change tokens in the file of a running server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from podium.errors import PodiumError
from podium.v1.value_pb2 import Value
from podium_server.store.contract import StoreError
from podium_server.store.open import add_token
from podium_server.store.sqlite import SqliteStore, tokens, transfer
from podium_server.store.tokens import Role, TokenRow
from podium_server.testing.calls import NOW, arm, declared, record, row

_TOKEN = TokenRow("t1", "team", b"d" * 32, Role.RECORDER, ("nlp",), NOW)
_SOON = 0.05


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Yields an open store with a long log.

    The log has over 1,000 pages, so SQLite by itself would merge it into the file.
    """
    store = SqliteStore(tmp_path / "podium.db")
    await store.open()
    ballast = {"k": Value(string_value="x" * 900_000)}
    await store.transact(record(declared(), arm()))
    await store.transact(record(*(row("val", step, breakdowns=ballast) for step in range(5))))
    yield store
    await store.close()


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


async def test_the_file_of_a_running_server_stays_unchanged(
    store: SqliteStore, tmp_path: Path
) -> None:
    """A command that changes tokens does not merge the server's log into the file.

    The server would take such a change of the file for damage.
    """
    path = tmp_path / "podium.db"
    assert path.with_name("podium.db-wal").stat().st_size > 4_200_000
    before = _state(path)
    tokens.add(path, _TOKEN)
    tokens.add(path, replace(_TOKEN, id="t2"))
    tokens.revoke(path, "t2", NOW + 1)
    tokens.revoke(path, "t2", NOW + 2)
    assert [(token.id, token.revoked) for token in tokens.listed(path)] == [
        ("t1", None),
        ("t2", NOW + 1),
    ]
    assert _state(path) == before
    assert (await store.transact(record(row("val", 9)))).revision == 3


async def test_the_log_of_a_killed_server_stays(store: SqliteStore, tmp_path: Path) -> None:
    """A command that adds a token does not merge the log that a killed server left."""
    (tmp_path / "copy").mkdir()
    for name in ("podium.db", "podium.db-wal"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    path = tmp_path / "copy" / "podium.db"
    before = _state(path)
    tokens.add(path, _TOKEN)
    assert tokens.count_rows(path, [(), ("x",), ("y",)]) == [7, 7, 0]
    assert _state(path) == before
    assert path.with_name("podium.db-wal").exists()
    assert (await store.store_id()) is not None


@pytest.mark.parametrize(
    "change",
    [lambda path: tokens.add(path, _TOKEN), lambda path: tokens.revoke(path, "t1", NOW)],
)
@pytest.mark.usefixtures("store")
def test_a_change_waits_for_the_server(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    """A change of tokens waits until another connection's transaction ends."""
    path = tmp_path / "podium.db"
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(_SOON, holder.execute, ["ROLLBACK"])
    timer.start()
    change(path)
    timer.join()
    holder.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (apsw.FullError("full"), "STORAGE_FULL"),
        (apsw.BusyError("locked"), "OVERLOADED"),
        (apsw.IOError("disk"), "INTERNAL"),
    ],
)
async def test_a_change_that_fails_in_sqlite_has_a_reason(
    store: SqliteStore, error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If SQLite fails, a call that changes tokens gets STORAGE_FULL, OVERLOADED or INTERNAL."""

    def fail(*_arguments: object) -> None:
        raise StoreError("cannot use podium.db") from error

    monkeypatch.setattr(tokens, "add", fail)
    monkeypatch.setattr(tokens, "revoke", fail)
    for change in (store.add_token(_TOKEN), store.revoke_token("t1", NOW)):
        with pytest.raises(PodiumError) as raised:
            await change
        assert raised.value.reason == reason
    assert await store.tokens() == []


@pytest.mark.usefixtures("store")
async def test_readers_cannot_write(store: SqliteStore) -> None:
    """The connections for reads cannot write, so a defect in a read cannot change results."""
    for connection in (store._reading, store._reading_tokens, store._connect_to_read()):
        with pytest.raises(apsw.ReadOnlyError):
            connection.execute("DELETE FROM experiments")


async def test_each_connection_that_writes_syncs(store: SqliteStore, tmp_path: Path) -> None:
    """The connections of the server, of token commands and of migrations sync each commit."""
    assert store._writing.pragma("journal_mode") == "wal"
    assert store._writing.pragma("synchronous") == 2
    with tokens._writing(tmp_path / "podium.db") as connection:
        assert connection.pragma("synchronous") == 2
    with transfer.target(tmp_path / "target.db") as side:
        assert list(side.read("PRAGMA synchronous")) == [(2,)]


@pytest.mark.parametrize("content", [None, b""])
async def test_a_token_makes_a_store_ready(tmp_path: Path, content: bytes | None) -> None:
    """If the file is missing or empty, adding the first token makes it a store."""
    path = tmp_path / "new.db"
    if content is not None:
        path.write_bytes(content)
    await asyncio.to_thread(add_token, f"sqlite:///{path}", _TOKEN)
    assert tokens.listed(path) == [_TOKEN]
