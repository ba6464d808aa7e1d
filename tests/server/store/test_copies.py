"""Tests of backups and checks of a SQLite store, even while a server uses it."""

import asyncio
import os
import stat
from pathlib import Path

import apsw
import podium
import pytest
from podium.cli._parsers import command_parser
from podium.model import RunConfig
from podium_server.serve import check
from podium_server.store.contract import PageLimits, StoreError
from podium_server.store.open import back_up_store, check_store
from podium_server.store.sqlite import SqliteStore
from podium_server.testing import running_server
from podium_server.testing.calls import arm, declared, record, row

from tests.client.cli.shell import podium as command
from tests.server.store.places import SqlitePlace, dump_sqlite, opened
from tests.server.store.test_store_file import _damage, _fill


def _files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_a_backup_holds_what_was_acknowledged(tmp_path: Path) -> None:
    """A backup of a store in use has all eval rows that were stored before the backup began.

    The backup can be opened. It is one file that only its owner can read.
    """
    place, target = SqlitePlace(tmp_path), tmp_path / "copies" / "podium.db"
    target.parent.mkdir()
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        writing = [
            asyncio.create_task(store.transact(record(row("val", step)))) for step in range(50)
        ]
        await writing[0]
        before = dump_sqlite(place.path)
        await asyncio.to_thread(back_up_store, place.url, target)
        await asyncio.gather(*writing)
        copied = dump_sqlite(target)
        assert set(before["evals"]) <= set(copied["evals"]) <= set(dump_sqlite(place.path)["evals"])
        assert before["arms"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert _files(target.parent) == ["podium.db"]
    restored = SqliteStore(target)
    await restored.open()
    assert (await restored.experiment("x")).revision >= 2
    await restored.close()


async def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    """A backup does not overwrite its target. A missing folder or store is an error."""
    await _fill(tmp_path / "podium.db")
    target = tmp_path / "kept"
    target.write_bytes(b"kept")
    with pytest.raises(StoreError, match="exists"):
        back_up_store(f"sqlite:///{tmp_path}/podium.db", target)
    assert target.read_bytes() == b"kept"
    with pytest.raises(StoreError, match="No such file"):
        back_up_store(f"sqlite:///{tmp_path}/podium.db", tmp_path / "missing" / "copy.db")
    with pytest.raises(StoreError, match="No such file"):
        back_up_store(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy.db")
    assert [name for name in _files(tmp_path) if "copy" in name or "kept" in name] == ["kept"]


async def test_a_link_at_the_path_of_a_partial_backup(tmp_path: Path) -> None:
    """If there is a link at the path of a backup's partial file, it is not followed."""
    await _fill(tmp_path / "podium.db")
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "copy.db.part").symlink_to(tmp_path / "other")
    back_up_store(f"sqlite:///{tmp_path}/podium.db", tmp_path / "copy.db")
    assert (tmp_path / "other").read_bytes() == b"other"
    assert dump_sqlite(tmp_path / "copy.db") == dump_sqlite(tmp_path / "podium.db")


async def test_a_damaged_store_gives_no_backup(tmp_path: Path) -> None:
    """If the store is damaged, the backup fails with an error, and its copy is removed."""
    await _fill(tmp_path / "podium.db")
    _damage(tmp_path / "podium.db")
    with pytest.raises(StoreError, match="the copy is damaged"):
        back_up_store(f"sqlite:///{tmp_path}/podium.db", tmp_path / "copy.db")
    assert "copy.db" not in " ".join(_files(tmp_path))


async def test_a_check_finds_damage(tmp_path: Path) -> None:
    """`check_store` finds a wrong index, damaged pages and a cut file. An intact file passes."""
    path = tmp_path / "podium.db"
    await _fill(path)
    assert check_store(str(path)) == check_store(f"sqlite:///{path}") == []
    sound = path.read_bytes()
    shell = apsw.Connection(str(path))
    shell.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    shell.execute("PRAGMA writable_schema = 1")
    shell.execute("UPDATE sqlite_schema SET sql = replace(sql, 'arm, position', 'arm, revision')")
    shell.close()
    assert any("evals_by_position" in fault for fault in check_store(str(path)))
    path.write_bytes(sound)
    _damage(path)
    assert check_store(str(path)) != []
    path.write_bytes(sound[: len(sound) // 2])
    assert check_store(str(path)) == ["database disk image is malformed"]


@pytest.mark.parametrize("content", [b"", b"not a database " * 100])
def test_a_check_of_a_file_that_is_not_a_store(tmp_path: Path, content: bytes) -> None:
    """A check of an empty file, or of a file that is not a database, is an error."""
    (tmp_path / "podium.db").write_bytes(content)
    with pytest.raises(StoreError):
        check_store(str(tmp_path / "podium.db"))


async def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    """A check, a backup and a start fail without waiting if the path is that of a pipe."""
    pipe = tmp_path / "pipe.db"
    os.mkfifo(pipe)
    for use in (check_store, lambda url: back_up_store(url, tmp_path / "copy.db")):
        with pytest.raises(StoreError, match=r"cannot open .*pipe\.db: it is not a file"):
            await asyncio.to_thread(use, f"sqlite:///{pipe}")
    with pytest.raises(StoreError, match=r"cannot open .*pipe\.db: it is not a file"):
        await SqliteStore(pipe).open()


def test_the_commands(tmp_path: Path) -> None:
    """`podium backup` and `podium check` work while a server uses the store.

    Their exit code is 0 for success, 1 for a damaged file, and 2 for other errors.
    """
    store = f"sqlite:///{tmp_path}/podium.db"
    target = tmp_path / "copy.db"
    with running_server(store) as server, podium.Client(server.address) as client:
        experiment = client.experiment("x")
        experiment.declare()
        experiment.record_arm(podium.ArmResult("a", RunConfig("r"), "completed", {"loss": 0.5}))
        done = command("backup", str(target), "--store", store)
        assert (done.code, done.out) == (0, f"{target}: {target.stat().st_size:,} bytes, checked\n")
        assert command("backup", str(target), "--store", store).code == 2
        assert command("check", str(tmp_path / "podium.db")).code == 0
        assert command("check", "--store", store) == (0, f"{store}: intact\n", "")
        assert command("check", str(target), "--store", store).code == 2
        server.kill()
        assert command("check", str(tmp_path / "podium.db")).code == 0
    with (
        running_server(f"sqlite:///{target}") as server,
        podium.Client(server.address) as client,
    ):
        assert client.arm("x", "a").score("loss") == 0.5
    assert command("check", str(target)).out == f"{target}: intact\n"
    target.write_bytes(target.read_bytes()[:8192])
    done = command("check", str(target))
    assert (done.code, done.out) == (1, f"{target}: database disk image is malformed\n")
    assert command("check", str(tmp_path / "none")).code == 2


async def test_a_store_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands ignore a newline at the end of PODIUM_STORE, such as one read from a file."""
    await _fill(tmp_path / "podium.db")
    monkeypatch.setenv("PODIUM_STORE", f"sqlite:///{tmp_path}/podium.db\n")
    assert command("backup", str(tmp_path / "copy.db")).code == 0
    assert command("token", "list").code == 0
    assert command("check").out == f"sqlite:///{tmp_path}/podium.db: intact\n"
    assert "podium.db is intact" in command("doctor").out
    assert not any("\n" in name for name in _files(tmp_path))


async def test_a_backup_is_synced_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup syncs its partial file, renames it, and syncs the folder.

    So a power cut leaves a whole copy or none.
    """
    await _fill(tmp_path / "podium.db")
    synced: list[str] = []
    sync = os.fsync

    def note(file: int) -> None:
        sync(file)
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)

    monkeypatch.setattr(os, "fsync", note)
    back_up_store(f"sqlite:///{tmp_path}/podium.db", tmp_path / "copy.db")
    assert synced == ["copy.db.part", tmp_path.name]


async def test_a_backup_needs_no_file_beside_it(tmp_path: Path) -> None:
    """A backup is not in WAL mode, so it can be read from a read-only disk.

    Files beside it that a killed backup left are removed.
    """
    await _fill(tmp_path / "podium.db")
    for ending in ("-journal", "-wal", "-shm"):
        (tmp_path / f"copy.db.part{ending}").write_bytes(b"left by a killed backup")
    back_up_store(f"sqlite:///{tmp_path}/podium.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes()[18:20] == b"\x01\x01"
    assert [name for name in _files(tmp_path) if name.startswith("copy")] == ["copy.db"]


async def test_a_backup_has_another_identity(tmp_path: Path) -> None:
    """A backup has another epoch than its store, so that watches notice when it is restored."""
    place, copy = SqlitePlace(tmp_path), tmp_path / "copy"
    copy.mkdir()
    await _fill(place.path)
    back_up_store(place.url, copy / "podium.db")
    epochs = []
    for each in (place, SqlitePlace(copy), place):
        async with opened(each) as store:
            epochs.append((await store.changes("x", 0, None, PageLimits(1, 0))).epoch)
    assert epochs[0] == epochs[2] != epochs[1]


@pytest.mark.parametrize("faults", [[], ["row 1 missing"], ["a", "b"]])
def test_the_command_reports_each_fault(
    faults: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`podium check` prints one line for each fault. Its exit code is 1 if there is any."""
    monkeypatch.setattr(check, "check_store", lambda _url: faults)
    assert check.run(command_parser("check", check).parse_args(["podium.db"])) == bool(faults)
    lines = [f"podium.db: {fault}" for fault in faults or ["intact"]]
    assert capsys.readouterr().out.splitlines() == lines
