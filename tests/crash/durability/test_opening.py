"""Tests of opening a file that is not a store, or a log without its store."""

from pathlib import Path

import apsw
import pytest
from podium.errors import NotFoundError
from podium_server.store.contract import StoreError
from podium_server.store.sqlite import SqliteStore


async def test_the_database_of_another_program_is_not_changed(tmp_path: Path) -> None:
    """Opening the database of another program raises an error and changes no byte."""
    path = tmp_path / "other.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="a database of another program"):
        await SqliteStore(path).open()

    assert path.read_bytes() == before
    assert _names(tmp_path) == ["other.db"]


async def test_a_text_file_is_not_changed(tmp_path: Path) -> None:
    """Opening a text file raises an error and changes no byte."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)

    with pytest.raises(StoreError, match="file is not a database"):
        await SqliteStore(path).open()

    assert path.read_text() == "not a database " * 100


async def test_a_store_opens_beside_a_log_without_commits(tmp_path: Path) -> None:
    """If only a log without commits is left of a store, a new, empty store opens."""
    path = tmp_path / "podium.db"
    (tmp_path / "podium.db-wal").write_bytes(b"left")
    store = SqliteStore(path)

    await store.open()

    with pytest.raises(NotFoundError):
        await store.experiment("gone")
    await store.close()


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
