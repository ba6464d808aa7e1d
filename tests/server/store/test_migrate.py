"""Tests of `migrate_store`, which copies all results of a store to another one, unchanged."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from podium._model.access import TokenLimits
from podium_server.store.contract import PageLimits, Store, StoreError
from podium_server.store.open import migrate_store
from podium_server.store.sql import transfer
from podium_server.store.sqlite import transfer as sqlite_transfer
from podium_server.store.tokens import Role, TokenRow
from podium_server.testing.calls import (
    NOW,
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    row,
    started,
)

from tests.client.cli.shell import podium as command
from tests.postgres import connected
from tests.server.store.places import (
    Dump,
    Place,
    PostgresPlace,
    SqlitePlace,
    new_place,
    opened,
)
from tests.server.store.test_migrations import write_randomly
from tests.stores import kind, only_sqlite

_TOKEN = TokenRow(
    "t1", "team", b"d" * 32, Role.RECORDER, ("nlp",), NOW, NOW + 5, None, TokenLimits(stored_rows=9)
)
_POSTGRES_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema()"
)
_ALL = PageLimits(1_000, 2**30)


@pytest.fixture
def places(tmp_path: Path) -> Callable[[str], Place]:
    """Returns a function that makes a place for a store, by default of the kind of `--store`."""

    def make(name: str, kind: Callable[[Path], Place] = new_place) -> Place:
        folder = tmp_path / name
        folder.mkdir()
        return kind(folder)

    return make


async def _fill(store: Store) -> None:
    """Fills every table of a store."""
    await write_randomly(store, seed=3)
    await store.transact(record(declared(tags=["t"], hypothesis="h"), experiment="nlp/a"))
    first = started("run", "attempt", 1), metrics({"loss": 0.5, "lr": -0.0}, "run", step=3)
    await store.transact(record(*first, experiment="nlp/a", writer="w"))
    done = arm("done", status=3, metrics={"m": float("nan")}, eval_metrics={"k": 1.0})
    await store.transact(record(done, arm("gone"), experiment="nlp/a"))
    await store.transact(record(row("val", 4, "run"), experiment="nlp/a"))
    await store.transact(delete_arm("gone", "nlp/a"))
    await store.transact(record(declared(), experiment="deleted"))
    await store.transact(record(arm(), experiment="deleted", writer="v"))
    await store.transact(delete_experiment("deleted"))
    await store.add_token(_TOKEN)


def _content(place: Place) -> Dump:
    """Returns every row, with names of experiments in place of their ids."""
    dump = place.dump()
    dump.pop("migrated", None)
    experiments = dump.pop("experiments")
    names = {row[0]: row[1] for row in experiments}
    found = {
        table: sorted(((names[r[0]], *r[1:]) if table != "tokens" else r for r in rows), key=repr)
        for table, rows in dump.items()
    }
    return found | {"experiments": sorted((r[1:] for r in experiments), key=repr)}


async def _move(source: Place, target: Place, **options: bool) -> transfer.Migration:
    return await asyncio.to_thread(
        migrate_store, source.url, target.url, lambda _line: None, **options
    )


async def _epoch(store: Store, experiment: str) -> str:
    return (await store.changes(experiment, 0, None, _ALL)).epoch


async def test_every_row_moves_and_comes_back(places: Callable[..., Place]) -> None:
    """All rows are equal after a move to another store and back. Both copies accept writes."""
    there, back = places("there"), places("back", SqlitePlace)
    source = places("source", SqlitePlace)
    async with opened(source) as store:
        await _fill(store)
        epoch, page_key, store_id = await _epoch(store, "nlp/a"), store.page_key, store.store_id
        expected = _content(source)
        assert all(expected.values()), "each table has a row"
        first = await _move(source, there)
        identity = await store_id()
    assert (first.copied, first.unchanged, first.changed, first.differences) == (3, 0, [], [])
    assert _content(there) == expected
    assert (await _move(there, back)).copied == 3
    assert _content(back) == expected
    for place in (there, back):
        async with opened(place) as store:
            assert await _epoch(store, "nlp/a") != epoch
            assert (store.page_key, await store.store_id()) == (page_key, identity)
            again = record(
                started("run", "attempt", 1),
                metrics({"loss": 0.5, "lr": -0.0}, "run", step=3),
                metrics({"loss": 0.25}, "run", step=4),
                experiment="nlp/a",
                writer="w",
            )
            before = (await store.experiment("nlp/a")).revision
            await store.transact(again)
            assert (await store.experiment("nlp/a")).revision == before + 1


async def test_a_second_run_copies_what_has_changed(places: Callable[..., Place]) -> None:
    """A second run copies only experiments that have changed, even without a new revision."""
    source, target = places("source"), places("target")
    async with opened(source) as store:
        await _fill(store)
        await _move(source, target)
        await store.transact(record(metrics({"loss": 0.1}, "run", step=9), experiment="nlp/a"))
        await store.revoke_token("t1", NOW + 1)
        done = await _move(source, target)
        assert (done.copied, done.unchanged) == (1, 2)
        assert _content(target) == _content(source)
        revision = (await store.experiment("nlp/a")).revision
        late = record(metrics({"loss": 0.1}, "run", step=9), experiment="nlp/a", writer="late")
        await store.transact(late)
        assert (await store.experiment("nlp/a")).revision == revision
        assert (await _move(source, target)).copied == 1
        assert _content(target) == _content(source)
        done = await _move(source, target, verify=True)
        assert (done.copied, done.unchanged, done.differences) == (0, 3, [])


async def test_a_source_that_is_written_meanwhile(places: Callable[..., Place]) -> None:
    """If the source is written during a run, the run names the changed experiments.

    The next run copies these experiments.
    """
    source, target = places("source"), places("target")
    loop = asyncio.get_running_loop()
    async with opened(source) as store:
        await _fill(store)

        def write(line: str) -> None:
            calls = [
                record(metrics({"late": 1.0}, "run", step=50), experiment="nlp/a"),
                record(declared(), experiment="new"),
            ]
            for call in calls if line.startswith("nlp/a") else []:
                asyncio.run_coroutine_threadsafe(store.transact(call), loop).result()

        done = await asyncio.to_thread(migrate_store, source.url, target.url, write)
        assert (done.copied, done.changed) == (3, ["new", "nlp/a"])
        assert _content(target) != _content(source)
        done = await _move(source, target)
        assert (done.copied, done.unchanged, done.changed) == (2, 2, [])
        assert _content(target) == _content(source)


_KILLED = """
import os, signal, sys
from podium_server.store.open import migrate_store
from podium_server.store.sql import transfer

read, sides = transfer._rows, []

def rows(side, table, number):
    if table.name == "scores" and side not in sides[1:]:
        sides.append(side)
    if len(sides) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(side, table, number)

transfer._rows = rows
migrate_store(sys.argv[1], sys.argv[2], print)
"""
"""A migration that kills itself in the transaction of the second experiment."""


async def test_a_killed_run_is_resumed(places: Callable[..., Place]) -> None:
    """A killed run leaves only whole experiments at the target. The next run copies the others."""
    source, target = places("source"), places("target")
    async with opened(source) as store:
        await _fill(store)
        expected = _content(source)
        child = [sys.executable, "-c", _KILLED, source.url, target.url]
        killed = await asyncio.to_thread(subprocess.run, child, check=False)
        assert killed.returncode == -signal.SIGKILL
        async with opened(target):
            pass
        left = _content(target)
        assert [name for name, *_ in left["experiments"]] == ["deleted"]
        for table, rows in left.items():
            assert rows == [r for r in expected[table] if r[0] == "deleted"]
        done = await _move(source, target)
        assert (done.copied, done.unchanged) == (2, 1)
        assert _content(target) == expected


async def test_a_skipped_table_is_found(
    places: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a table's rows do not arrive, a run names the table and does not store the experiment."""
    source, target = places("source"), places("target")
    put = transfer.Migration._put

    def skip(self: Any, table: Any, fixed: Any, rows: Any) -> str:
        lost = transfer._digest(list(rows)) if table.name == "points" else None
        return lost or put(self, table, fixed, rows)

    monkeypatch.setattr(transfer.Migration, "_put", skip)
    async with opened(source) as store:
        await _fill(store)
        done = await _move(source, target)
    assert "nlp/a: table points differs: 1 rows at the source, 0 at the target" in done.differences
    assert "nlp/a" not in {name for name, *_ in _content(target)["experiments"]}


async def test_verify_finds_a_changed_row(places: Callable[..., Place]) -> None:
    """With `verify`, a run finds a row of the target that was changed after it was copied."""
    source, target = places("source"), places("target", SqlitePlace)
    async with opened(source) as store:
        await _fill(store)
        await _move(source, target)
        connection = apsw.Connection(target.url.removeprefix("sqlite:///"))
        connection.execute("UPDATE points SET content = zeroblob(12) WHERE step = 3")
        connection.close()
        assert (await _move(source, target)).differences == []
        done = await _move(source, target, verify=True)
    assert "nlp/a: table points differs: 1 rows at the source, 1 at the target" in done.differences


async def test_a_target_with_other_results_is_an_error(places: Callable[..., Place]) -> None:
    """A run fails if the target has other results or changed copies. Changed copies are kept."""
    source, other, target = places("source"), places("other"), places("target")
    for place, name in ((source, "mine"), (other, "theirs")):
        async with opened(place) as store:
            await store.transact(record(declared(), arm(), experiment=name))
    with pytest.raises(StoreError, match=r"did not come from .*: theirs; give an empty store"):
        await _move(source, other)
    await _move(source, target)
    async with opened(target) as store:
        await store.transact(record(arm("b"), experiment="mine"))
    changed = _content(target)
    with pytest.raises(StoreError, match="changed after the copy: mine"):
        await _move(source, target)
    assert _content(target) == changed
    with pytest.raises(StoreError, match="mine"):
        await _move(target, source)


async def test_a_store_is_not_its_own_target(places: Callable[..., Place]) -> None:
    """A run from a store to itself is an error, and adds no table to the store."""
    source = places("source")
    async with opened(source):
        pass
    with pytest.raises(StoreError, match="is the source itself"):
        await _move(source, source)
    assert "migrated" not in source.dump()


async def test_tokens_of_the_target_stay(places: Callable[..., Place]) -> None:
    """A token of the target is kept, and one that was revoked there stays revoked."""
    source, target = places("source"), places("target")
    own = TokenRow("own", "admin", b"o" * 32, Role.ADMIN, (), NOW)
    async with opened(source) as store:
        await store.add_token(_TOKEN)
    async with opened(target) as store:
        await store.add_token(own)
    assert (await _move(source, target)).differences == []
    async with opened(target) as store:
        await store.revoke_token("t1", NOW + 7)
    assert (await _move(source, target)).differences == []
    async with opened(target) as store:
        tokens = {token.id: token.revoked for token in await store.tokens()}
    assert tokens == {"own": None, "t1": NOW + 7}


async def test_many_rows_are_copied_in_batches(
    places: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an experiment is copied in several batches, no row is lost, and progress is reported."""
    monkeypatch.setattr(transfer, "_BATCH_ROWS", 7)
    monkeypatch.setattr(transfer, "_PROGRESS_ROWS", 20)
    source, target = places("source"), places("target")
    lines: list[str] = []
    async with opened(source) as store:
        points = [metrics({"loss": step / 8}, "run", step=step) for step in range(50)]
        await store.transact(record(declared()))
        await store.transact(record(started("run", "attempt", 1), *points, writer="w"))
        await asyncio.to_thread(migrate_store, source.url, target.url, lines.append)
        assert _content(target) == _content(source)
    assert lines == [
        "22 rows so far",
        "43 rows so far",
        "60 rows so far",
        "x: 60 rows copied and compared (1 of 1)",
    ]


@only_sqlite
async def test_files_that_cannot_take_part(tmp_path: Path) -> None:
    """A run fails if the source is missing or of an older version, or if the target is in use."""
    (tmp_path / "old").mkdir()
    source, target, old = (
        SqlitePlace(tmp_path),
        f"sqlite:///{tmp_path}/new.db",
        SqlitePlace(tmp_path / "old"),
    )
    with pytest.raises(StoreError, match="cannot read"):
        await asyncio.to_thread(migrate_store, source.url, target, print)
    assert not (tmp_path / "new.db").exists()
    for place in (source, old):
        async with opened(place):
            pass
    connection = apsw.Connection(str(old.path))
    connection.pragma("user_version", 10)
    connection.close()
    with pytest.raises(
        StoreError, match=r"schema version 10, .*run `podium serve` of this release"
    ):
        await asyncio.to_thread(migrate_store, old.url, target, print)
    async with opened(source):
        with pytest.raises(StoreError, match="another server uses"):
            await asyncio.to_thread(migrate_store, old.url.replace("old/", ""), source.url, print)


def test_every_table_is_known() -> None:
    """`result_tables` returns exactly these tables, and the right columns and key for `points`."""
    tables = sqlite_transfer.result_tables()
    assert set(tables) == {
        "arm_parts", "arms", "evals", "experiment_contents", "experiments", "point_keys", "points",
        "rank_changes", "rank_counts", "ranks", "removals", "scores", "streams",
    }  # fmt: skip
    assert tables["points"] == ("points", "experiment", ("arm", "step", "content"),
                                ("experiment", "arm", "step"))  # fmt: skip


@pytest.mark.skipif(kind() != "postgres", reason="it needs a database")
async def test_every_column_is_in_both_schemas(places: Callable[..., Place]) -> None:
    """Both kinds of stores have the same columns, except `write_id`, which is not copied."""
    place = places("database", PostgresPlace)
    async with opened(place):
        pass
    tables = sqlite_transfer.result_tables()
    async with connected(place.url) as connection:
        found = await connection.fetch(_POSTGRES_COLUMNS)
    of_postgres = {tuple(row) for row in found if row[0] not in ("store", "tokens")}
    of_sqlite = {
        (table.name, column)
        for table in tables.values()
        for column in (table.id_column, *table.columns)
    }
    assert of_postgres - of_sqlite == {("experiments", "write_id")}
    assert of_sqlite - of_postgres == set()


async def test_the_command(places: Callable[..., Place]) -> None:
    """`podium migrate` prints what it copied, prints no password, and exits with 2 on errors."""
    source, target = places("source"), places("target")
    async with opened(source) as store:
        await store.transact(record(declared(), arm(), experiment="nlp/a"))
    done = await asyncio.to_thread(command, "migrate", source.url, target.url)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "nlp/a: 5 rows copied and compared (1 of 1)",
        "experiments copied: 1, unchanged since the last run: 0",
        "stop all servers on FROM and run this again, before you start one on TO",
    ]
    done = await asyncio.to_thread(command, "migrate", target.url, source.url)
    assert (done.code, done.out) == (2, "")
    done = await asyncio.to_thread(
        command, "migrate", "postgresql://podium:secret@localhost:1/none", target.url
    )
    assert done.code == 2
    assert "secret" not in done.out + done.err
