"""Tests that a power cut loses no acknowledged call, and leaves no damaged store."""

import tempfile
from pathlib import Path
from random import Random

import pytest
from podium_server.store.sqlite import SqliteStore, schema, store

from tests.crash.durability.disk import Disk, Journal, Note, Power, Sync
from tests.crash.durability.power_cuts import cut_power
from tests.crash.durability.recorder import recording, without_syncs
from tests.crash.durability.rounds import content_of, rounds, send

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a store keep its identity in a copy of its file, since the model copies files."""
    monkeypatch.setattr(schema, "identify", lambda *_: None)


async def test_a_thousand_power_cuts_lose_nothing() -> None:
    """After each of 1,000 power cuts, the store has all acknowledged rounds, and none in part."""
    report = await cut_power(1_000, seed=20_261_123)

    assert (report.images, report.lost, report.corrupt) == (1_000, 0, 0), str(report)


async def test_the_same_cuts_lose_rows_without_full_sync() -> None:
    """With synchronous=NORMAL, the same power cuts lose acknowledged rounds, which is reported."""
    report = await cut_power(200, seed=20_261_123, synchronous="normal")

    assert report.lost > 20, str(report)


async def test_the_same_cuts_damage_stores_without_any_sync() -> None:
    """With synchronous=OFF, the same power cuts damage stores. The checks find that."""
    report = await cut_power(200, seed=20_261_123, synchronous="off")

    assert report.corrupt > 20, str(report)


async def test_a_call_sent_again_after_a_kill_is_durable() -> None:
    """If a call was written but not synced before a kill, sending it again makes it durable."""
    assert await _acknowledged_again() == "there"


async def test_without_make_log_durable_a_call_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `make_log_durable`, a power cut loses a call that was answered.

    Before a kill, the call was written but not synced. Then it was sent again and answered.
    """
    monkeypatch.setattr(store, "make_log_durable", lambda _path: None)

    assert await _acknowledged_again() == "lost"


async def _acknowledged_again() -> str:
    """Kills a server before its last sync, sends the last call again, and cuts the power.

    Returns whether the last call is `there` or `lost`.
    """
    journal: Journal = []
    before, after = await _first_process(journal)
    last_sync = max(index for index, entry in enumerate(journal) if isinstance(entry, Sync))
    del journal[last_sync:]
    await _second_process(journal, after)
    left = await _content_after_cut(journal)
    return {before: "lost", after: "there"}[left]


async def _first_process(journal: Journal) -> tuple[bytes, bytes]:
    """Writes two rounds. Returns the content of the store before and after the second."""
    with tempfile.TemporaryDirectory() as folder, recording(journal):
        opened = await _open(Path(folder))
        contents = []
        for sent in rounds(seed=1, count=2):
            await send(opened, sent)
            contents.append(content_of(opened._reading))
        written = len(journal)
        await opened.close()
    del journal[written:]
    return contents[0], contents[1]


async def _second_process(journal: Journal, expected: bytes) -> None:
    """Checks that the second round is stored, and sends it again, which changes nothing."""
    with tempfile.TemporaryDirectory() as folder, recording(journal):
        _put(Path(folder), journal, Power.KEEP)
        opened = await _open(Path(folder))
        assert content_of(opened._reading) == expected
        await send(opened, rounds(seed=1, count=2)[1])
        journal.append(Note(begun=2, acknowledged=2))
        acknowledged = len(journal)
        await opened.close()
    del journal[acknowledged:]


async def _content_after_cut(journal: Journal) -> bytes:
    with tempfile.TemporaryDirectory() as folder, without_syncs():
        _put(Path(folder), journal, Power.DROP)
        opened = await _open(Path(folder))
        content = content_of(opened._reading)
        await opened.close()
    return content


async def _open(folder: Path) -> SqliteStore:
    opened = SqliteStore(folder / "podium.db")
    await opened.open()
    return opened


def _put(folder: Path, journal: Journal, power: Power) -> None:
    disk = Disk()
    for entry in journal:
        disk.follow(entry)
    no_choice = Random(1)  # noqa: S311 - no secret
    for name, content in disk.cut(power, no_choice).items():
        (folder / name).write_bytes(content)
