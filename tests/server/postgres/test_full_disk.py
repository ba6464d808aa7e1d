"""Tests that a database with a full disk rejects writes, serves reads, and recovers."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from podium.errors import PodiumError
from podium_server.store.contract import Store
from podium_server.store.open import open_store
from podium_server.testing.calls import arm, declared, record, row

from tests.postgres import connected
from tests.stores import store_url

_FILL = "INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 500)"
_METRICS = {f"metric{number}": float(number**3) for number in range(300)}


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Yields the folder of a file system of 2 MB that the database can use."""
    if os.geteuid() != 0 or os.environ.get("PODIUM_TEST_POSTGRES"):
        pytest.skip("only root can mount a small disk for a database on this machine")
    folder = Path(tempfile.mkdtemp(prefix="podium-full-"))
    if not _run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)):
        folder.rmdir()
        pytest.skip("this machine allows no mounts")
    shutil.chown(folder, "postgres")
    yield folder
    assert _run("umount", "--lazy", str(folder))
    folder.rmdir()


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


async def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    """On a full disk, a write is rejected with STORAGE_FULL and changes nothing.

    Reads still work. When there is room again, writes succeed.
    """
    url = store_url(tmp_path)
    space = f"small_{tmp_path.name}"
    store = await open_store(url)
    async with connected(url) as connection:
        try:
            await store.transact(record(declared(), arm()))
            await connection.execute(f"CREATE TABLESPACE {space} LOCATION '{small_disk}'")
            await connection.execute(f"ALTER TABLE evals SET TABLESPACE {space}")
            await connection.execute(f"CREATE TABLE filler (x TEXT) TABLESPACE {space}")
            await _fill(connection)
            steps, error = await _record_until_full(store)
            assert error.reason == "STORAGE_FULL"
            assert "nothing was changed" in error.message
            assert (await store.experiment("x")).revision == steps
            assert await store.eval("x", "a", "val", steps) is None
            await connection.execute("DROP TABLE filler")
            call = record(row("val", steps, metrics=_METRICS))
            assert (await store.transact(call)).revision == steps + 1
        finally:
            await store.close()
            await connection.execute("DROP TABLE IF EXISTS filler")
            await connection.execute("ALTER TABLE evals SET TABLESPACE pg_default")
            await connection.execute(f"DROP TABLESPACE IF EXISTS {space}")


async def _fill(connection: Any) -> None:
    with contextlib.suppress(asyncpg.DiskFullError):
        while True:
            await connection.execute(_FILL)


async def _record_until_full(store: Store) -> tuple[int, PodiumError]:
    """Records rows, from step 1 on. Returns the step of the first row that fails, and its error."""
    for step in range(1, 100):
        try:
            await store.transact(record(row("val", step, metrics=_METRICS)))
        except PodiumError as error:
            return step, error
    raise AssertionError
