"""What the SQLite store remembers between transactions is what its file says, whatever happened."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium_server.store.contract import ArmNeeds
from podium_server.store.rows import PART_NAMES, EvalKey
from podium_server.store.sqlite import SqliteStore, codec
from podium_server.store.sqlite.loads import Loader
from podium_server.store.sqlite.row_cache import CachedArm, RowCache

from tests.crash.durability.recorder import recording
from tests.server.store.calls import BrokenAfter, BrokenBefore, arm, declared, record, row
from tests.server.store.places import SqlitePlace, opened
from tests.server.store.test_derived import follow
from tests.server.writes.naive_events import Experiment
from tests.server.writes.random_calls import random_call
from tests.server.writes.ways import Direct

_ROUNDS = 60


@pytest.mark.parametrize("seed", range(6))
async def test_it_is_what_a_cold_store_loads(seed: int, tmp_path: Path) -> None:
    """After random calls, refused, broken and taken back for want of room, nothing is amiss."""
    rng, model, seen = Random(seed), Experiment(), 0  # noqa: S311 - the same calls every time
    with recording([]) as faults:
        store = SqliteStore(tmp_path / "podium.db")
        await store.open()
        for number in range(_ROUNDS):
            faults.write = number % 7 == 6
            await _round(store, rng, model)
            faults.write = False
            seen += _hold(store, tmp_path / "podium.db")
        await store.close()
    assert seen > 2 * _ROUNDS


async def _round(store: SqliteStore, rng: Random, model: Experiment) -> None:
    """Some calls at once, which share transactions; some of them have defects."""
    way = Direct(store, Limits())
    asked: list[Any] = [random_call(rng, model, "x") for _ in range(rng.choice((1, 2, 5)))]
    broken = [record(row("val", 3), kind=kind) for kind in _defects(rng)]
    calls = [way.call(type(request).__name__.removesuffix("Request"), request) for request in asked]
    outcomes = await asyncio.gather(*calls, *map(store.transact, broken), return_exceptions=True)
    for request, outcome in zip(asked, outcomes, strict=False):
        if not isinstance(outcome, BaseException):
            follow(model, request)


def _defects(rng: Random) -> Iterator[type[BrokenBefore | BrokenAfter]]:
    if rng.random() < 0.2:
        yield rng.choice((BrokenBefore, BrokenAfter))


def _hold(store: SqliteStore, path: Path) -> int:
    """Compares every entry with what a loader without a memory finds; how many there are."""
    memory = store._group._row_cache
    with closing(apsw.Connection(str(path))) as connection:
        cold = Loader(connection, RowCache())
        for name, columns in memory.experiments.items():
            assert codec.experiment_from(columns) == cold.experiment(name)
        for (experiment, writer), columns in memory.streams.items():
            assert codec.stream_from(columns) == cold.stream(experiment, writer)
        for (experiment, name), known in memory.arms.items():
            _hold_arm(connection, cold, experiment, name, known)
    return len(memory.experiments) + len(memory.streams) + len(memory.arms)


def _hold_arm(
    connection: apsw.Connection, cold: Loader, experiment: int, name: str, known: CachedArm
) -> None:
    keys = {EvalKey(eval_name, None) for eval_name in known.answering}
    loaded = cold.arm(experiment, name, ArmNeeds(parts=set(PART_NAMES), keys=keys))
    assert loaded is not None
    assert known.columns is not None
    assert codec.arm_from(known.columns) == loaded.row
    assert known.parts == {part: loaded.parts[part] for part in known.parts}
    assert known.answering == loaded.answering
    for eval_name, scored in known.scored.items():
        place = (experiment, loaded.row.ordinal, eval_name)
        found = connection.execute(
            "SELECT key FROM scores WHERE experiment = ? AND arm = ? AND eval_name = ?", place
        )
        assert scored == {key for (key,) in found}


async def test_a_full_memory_begins_anew(tmp_path: Path) -> None:
    """However many arms and rows are written, a bounded number of bytes is remembered."""
    async with opened(SqlitePlace(tmp_path)) as store:
        assert isinstance(store, SqliteStore)
        memory = store._group._row_cache = RowCache(most_bytes=100_000)
        await store.transact(record(declared()))
        sizes = []
        for number in range(100):
            name = f"arm{number}"
            late = row("val", 1, name, metrics={"acc": number}, tags=["x" * 2_000])
            await store.transact(record(arm(name), late))
            sizes.append(len(memory.arms))
        assert 10 < max(sizes) < 50
        assert sizes[-1] < 50
        assert _hold(store, tmp_path / "podium.db") > 0


async def test_large_rows_are_not_remembered(tmp_path: Path) -> None:
    """A row with much in it is loaded again, and found to be the same."""
    async with opened(SqlitePlace(tmp_path)) as store:
        assert isinstance(store, SqliteStore)
        await store.transact(record(declared(), arm()))
        large = row("val", 1, tags=[f"{number:0200}" for number in range(100)])
        first = await store.transact(record(large))
        again = await store.transact(record(large))
        assert (first.changed_events, again.changed_events) == (1, 0)
        [known] = store._group._row_cache.arms.values()
        assert "val" not in known.answering


async def test_what_another_program_writes_is_seen(tmp_path: Path) -> None:
    """A shell that changes the file between two calls is not overwritten with what was before."""
    place = SqlitePlace(tmp_path)
    async with opened(place) as store:
        await store.transact(record(declared(), arm()))
        assert (await store.transact(record(row("val", 1), writer="w"))).revision == 2
        with closing(apsw.Connection(str(place.path))) as shell:
            shell.execute("UPDATE experiments SET revision = 7")
            shell.execute("UPDATE streams SET last_sequence = 5")
        with pytest.raises(PodiumError, match="send from 6 on"):
            await store.transact(record(row("val", 2), writer="w", first=7))
        assert (await store.transact(record(row("val", 2), writer="w", first=6))).revision == 8
