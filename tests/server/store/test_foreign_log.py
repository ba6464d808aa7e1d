"""A store given by mistake: another program's database is not touched, its log included."""

from pathlib import Path

import apsw
import pytest
from podium_server.store.contract import StoreError
from podium_server.store.sqlite import SqliteStore


def _state(path: Path, log: Path) -> object:
    return log.stat().st_mtime_ns, log.read_bytes(), path.read_bytes()


async def test_the_log_of_another_database_is_left_alone(tmp_path: Path) -> None:
    """A database in use with a write-ahead log is refused, and neither file is written."""
    path = tmp_path / "other.db"
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "wal")
    other.execute("CREATE TABLE notes (text); INSERT INTO notes VALUES ('kept')")
    log = Path(f"{path}-wal")
    before = _state(path, log)

    with pytest.raises(StoreError, match="a database of another program"):
        await SqliteStore(path).open()

    assert _state(path, log) == before
    other.close()
