"""Tests of a write-ahead log that is beside the file when a SQLite store opens."""

from pathlib import Path

import apsw
import pytest
from podium_server.store.contract import StoreError
from podium_server.store.sqlite import SqliteStore
from podium_server.store.sqlite.connection import make_log_durable


def _state(path: Path, log: Path) -> object:
    return log.stat().st_mtime_ns, log.read_bytes(), path.read_bytes()


async def test_the_log_of_another_database_is_not_changed(tmp_path: Path) -> None:
    """If another program's database has a write-ahead log, `open` fails and writes no file."""
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


def test_the_log_of_a_killed_server_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make_log_durable` writes the whole log again, without a change, and then syncs it.

    So commits that were not synced before the kill are durable before they are read. The log of
    this test ends with zeros, because the last page of a commit may end with zeros.
    """
    path, log = tmp_path / "podium.db", tmp_path / "podium.db-wal"
    path.touch()
    log.write_bytes(bytes(range(256)) * 700 + b"end" + bytes(1_000))
    written: list[tuple[str, int]] = []

    class Noted(apsw.VFSFile):
        """A file that adds its writes and syncs to `written`."""

        def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - a SQLite name
            """Adds the size of the data to `written`, and writes the data."""
            assert sum(size for _, size in written) == offset
            written.append(("write", len(data)))
            super().xWrite(data, offset)

        def xSync(self, flags: int) -> None:  # noqa: N802 - a SQLite name
            """Adds a sync to `written`, and syncs."""
            written.append(("sync", 0))
            super().xSync(flags)

    monkeypatch.setattr(apsw, "VFSFile", Noted)
    before = log.read_bytes()
    make_log_durable(path)
    assert log.read_bytes() == before
    assert sum(size for _, size in written) == len(before) == 180_203
    assert [what for what, _ in written].index("sync") == len(written) - 1
