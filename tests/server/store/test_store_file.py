"""Tests that the SQLite store stops if its files are damaged, or changed by other programs."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from podium.errors import PodiumError
from podium_server.store.contract import StoreError
from podium_server.store.sqlite import SqliteStore, group_commit, store
from podium_server.testing import running_server
from podium_server.testing.calls import arm, declared, record, row

_ROWS = 400


@pytest.fixture(autouse=True)
def _frequent_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_CHECK_SECONDS", 60)


class _Watched:
    """A store over a file, and whether it has stopped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "podium.db"
        self.stopped = asyncio.Event()
        self.store = SqliteStore(self.path, self.stopped.set)
        self._is_open = False

    async def open(self) -> None:
        """Opens the store."""
        await self.store.open()
        self._is_open = True

    async def close(self) -> None:
        """Closes the store, if it is open."""
        if self._is_open:
            self._is_open = False
            await self.store.close()

    async def reason(self) -> str:
        """Makes a write that must fail. Returns the reason of its error."""
        with pytest.raises(PodiumError) as raised:
            await self.store.transact(record(row("late")))
        return raised.value.reason


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[_Watched]:
    """Yields an open store with some pages in its file and some in its log."""
    await _fill(tmp_path / "podium.db")
    watched = _Watched(tmp_path)
    await watched.open()
    await watched.store.transact(record(row("new")))
    yield watched
    await watched.close()


async def _fill(path: Path) -> None:
    filled = SqliteStore(path)
    await filled.open()
    await filled.transact(record(declared(), arm()))
    rows = [row("val", step, benchmark_id="b" * 200) for step in range(_ROWS)]
    await filled.transact(record(*rows))
    await filled.close()


def _overwrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content)


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def _beside(ending: str, harm: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda path: harm(path.with_name(path.name + ending))


def _truncate(path: Path) -> None:
    os.truncate(path, 4096)


_HARMS: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "replaced": _replace,
    "truncated": _truncate,
    "overwritten": _overwrite,
    "log removed": _beside("-wal", Path.unlink),
    "log replaced": _beside("-wal", _replace),
    "log truncated": _beside("-wal", _truncate),
    "index removed": _beside("-shm", Path.unlink),
}


@pytest.mark.parametrize("harm", _HARMS)
async def test_no_write_is_acknowledged_after_harm_by_another_program(
    watched: _Watched, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If another program harms a file of the store, no write is acknowledged any more.

    It may have removed, replaced, truncated or overwritten the file. Reads fail, and the server's
    log has the reason.
    """
    _HARMS[harm](watched.path)
    assert await watched.reason() == "OUTCOME_UNKNOWN"
    assert watched.stopped.is_set()
    assert await watched.reason() == "OUTCOME_UNKNOWN"
    with pytest.raises(PodiumError, match="damaged"):
        await watched.store.experiment("x")
    [said] = [entry for entry in caplog.records if entry.levelname == "CRITICAL"]
    assert harm.rsplit(maxsplit=1)[-1] in said.getMessage()
    assert str(watched.path) in said.getMessage()


@pytest.mark.parametrize("harm", _HARMS)
async def test_harm_by_another_program_stops_the_store_without_a_write(
    tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another program harms a file of the store, the store stops even without a write."""
    monkeypatch.setattr(group_commit, "_CHECK_SECONDS", 0.01)
    watched = _Watched(tmp_path)
    await watched.open()
    await watched.store.transact(record(declared(), arm()))
    await watched.store.transact(record(row("val")))
    if "truncated" in harm:
        await watched.close()
        await watched.open()
        await watched.store.transact(record(row("val", 2)))
    _HARMS[harm](watched.path)
    await asyncio.wait_for(watched.stopped.wait(), 120)
    await watched.close()


async def test_the_stores_own_checkpoints_are_no_harm(watched: _Watched) -> None:
    """Repeated checkpoints of the store are not mistaken for changes by another program."""
    watched.store._file.checkpoint_pages = 10
    before = watched.path.stat().st_size
    for step in range(200):
        await watched.store.transact(record(row("more", step, benchmark_id="b" * 200)))
    assert watched.path.stat().st_size > before
    assert not watched.stopped.is_set()


async def test_a_stopped_store_leaves_the_file_as_the_other_program_wrote_it(
    watched: _Watched,
) -> None:
    """When a stopped store closes, it does not merge its log into the overwritten file."""
    content = watched.path.read_bytes()
    watched.path.write_bytes(content)
    assert await watched.reason() == "OUTCOME_UNKNOWN"
    await watched.close()
    assert watched.path.read_bytes() == content


def _damage(path: Path) -> None:
    """Overwrites the pages in the middle of a file, and keeps its size."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size // 2)
        file.write(b"\x55" * (size // 4))


async def test_a_damaged_page_that_a_read_meets_stops_the_store(tmp_path: Path) -> None:
    """A read that meets a damaged page gets SHUTTING_DOWN. Later writes are not acknowledged."""
    await _fill(tmp_path / "podium.db")
    watched = _Watched(tmp_path)
    await watched.open()
    _damage(watched.path)
    reads = (watched.store.eval("x", "a", "val", step) for step in range(_ROWS))
    with pytest.raises(PodiumError) as raised:
        await asyncio.gather(*reads)
    assert raised.value.reason == "SHUTTING_DOWN"
    assert watched.stopped.is_set()
    assert await watched.reason() == "OUTCOME_UNKNOWN"
    await watched.close()


@pytest.mark.parametrize("harm", [_damage, _truncate])
async def test_a_damaged_file_is_rejected_at_the_start(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """A server does not start on a file with damaged or missing pages."""
    await _fill(tmp_path / "podium.db")
    harm(tmp_path / "podium.db")
    with pytest.raises(StoreError, match=r"file is damaged|disk image is malformed"):
        await SqliteStore(tmp_path / "podium.db").open()


async def test_a_truncated_file_is_rejected_at_the_start_however_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with missing pages is rejected at the start even if its content is checked later."""
    monkeypatch.setattr(store, "_CHECKED_BYTES", 0)
    await _fill(tmp_path / "podium.db")
    _truncate(tmp_path / "podium.db")
    with pytest.raises(StoreError, match="disk image is malformed"):
        await SqliteStore(tmp_path / "podium.db").open()


async def test_a_large_file_is_checked_while_the_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file's content is checked after the start. If it is damaged, the store stops."""
    monkeypatch.setattr(store, "_CHECKED_BYTES", 0)
    await _fill(tmp_path / "podium.db")
    _damage(tmp_path / "podium.db")
    watched = _Watched(tmp_path)
    await watched.open()
    await asyncio.wait_for(watched.stopped.wait(), 120)
    await watched.close()


async def test_a_sound_large_file_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of a large file that is intact does not stop the store."""
    monkeypatch.setattr(store, "_CHECKED_BYTES", 0)
    await _fill(tmp_path / "podium.db")
    watched = _Watched(tmp_path)
    await watched.open()
    await watched.store.transact(record(row("new")))
    await watched.close()
    assert not watched.stopped.is_set()


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 0)])
async def test_a_log_without_its_file_is_not_thrown_away(
    watched: _Watched, harm: Callable[[Path], None]
) -> None:
    """If the file is missing or empty beside its log, `open` fails and keeps the log."""
    harm(watched.path)
    assert await watched.reason() == "OUTCOME_UNKNOWN"
    await watched.close()
    log = watched.path.with_name("podium.db-wal")
    before = log.read_bytes()
    with pytest.raises(StoreError, match="missing or empty"):
        await watched.open()
    assert log.read_bytes() == before


@pytest.mark.parametrize("link", [Path.hardlink_to, Path.symlink_to])
async def test_one_server_uses_a_file_whatever_its_name(
    watched: _Watched, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """A second store cannot open the same file, even through a link in another folder."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "name.db"
    link(other, watched.path)
    with pytest.raises(StoreError, match="another server uses"):
        await SqliteStore(other).open()
    await watched.store.transact(record(row("still")))


async def test_a_symbolic_link_can_name_the_store(tmp_path: Path) -> None:
    """A store that is opened through a link keeps its log in the folder of the file itself."""
    (tmp_path / "data").mkdir()
    link = tmp_path / "podium.db"
    link.symlink_to(tmp_path / "data" / "real.db")
    opened = SqliteStore(link)
    await opened.open()
    await opened.transact(record(declared()))
    assert (tmp_path / "data" / "real.db-wal").exists()
    await opened.close()
    assert (await _revision(tmp_path / "data" / "real.db")) == 1


async def _revision(path: Path) -> int:
    opened = SqliteStore(path)
    await opened.open()
    try:
        return (await opened.experiment("x")).revision
    finally:
        await opened.close()


def test_a_server_whose_file_is_removed_ends(tmp_path: Path) -> None:
    """If the file of a running server is removed, the server ends with exit code 3."""
    with running_server(f"sqlite:///{tmp_path}/podium.db", "--log-level", "error") as server:
        (tmp_path / "podium.db").unlink()
        assert server.process.wait(120) == 3
