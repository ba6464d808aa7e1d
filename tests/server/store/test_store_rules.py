"""Tests of what a SQLite store keeps and removes, and of the pages of its answers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from podium_server.store.contract import PageLimits, StoreError
from podium_server.store.filters import SeriesFilter
from podium_server.store.ranking_queries import RankQuery
from podium_server.store.sqlite import SqliteStore, schema, store, tokens
from podium_server.store.sqlite.store_file import FileDamagedError
from podium_server.store.tokens import Role, TokenRow
from podium_server.testing.calls import (
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    row,
    started,
)

from tests.server.store.places import dump_sqlite

_TOKEN = TokenRow("id", "name", b"digest", Role.READER, (), 1)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Yields an open store in an empty folder."""
    opened = SqliteStore(tmp_path / "podium.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_start_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """A failed start removes the file that it has created. A file that was there before stays."""
    if is_there:
        (tmp_path / "podium.db").touch()

    def fail(_connection: apsw.Connection) -> None:
        raise apsw.FullError("the disk is full")

    monkeypatch.setattr(schema, "migrate", fail)
    with pytest.raises(StoreError, match="the disk is full"):
        await SqliteStore(tmp_path / "podium.db").open()
    assert (tmp_path / "podium.db").exists() is is_there


@pytest.mark.parametrize("content", ["nothing", "a token", "an experiment"])
async def test_a_discarded_store(tmp_path: Path, content: str) -> None:
    """`discard` removes a new file without content. A file with a token or an experiment stays."""
    new = SqliteStore(tmp_path / "podium.db")
    await new.open()
    if content == "a token":
        await new.add_token(_TOKEN)
    elif content == "an experiment":
        await new.transact(record(declared()))
    await new.discard()
    assert (tmp_path / "podium.db").exists() is (content != "nothing")


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (apsw.CorruptError("corrupt"), True),
        (FileDamagedError("pages are missing"), True),
        (apsw.InterruptError("the store closes"), False),
        (None, False),
    ],
)
async def test_what_the_check_of_a_large_file_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, *, stops: bool
) -> None:
    """The check of a large file stops the store if it finds damage, not if it is interrupted."""
    large = SqliteStore(tmp_path / "podium.db")
    await large.open()
    await large.close()
    monkeypatch.setattr(store, "_CHECKED_BYTES", 0)
    checked: list[apsw.Connection] = []
    begun = threading.Event()

    def check(connection: apsw.Connection) -> None:
        checked.append(connection)
        begun.set()
        if error is not None:
            raise error

    monkeypatch.setattr(store, "_check_content", check)
    stopped = asyncio.Event()
    large = SqliteStore(tmp_path / "podium.db", stopped.set)
    await large.open()
    assert await asyncio.to_thread(begun.wait, 60)
    if stops:
        async with asyncio.timeout(60):
            await stopped.wait()
    await large.close()
    await asyncio.sleep(0)
    assert (len(checked), stopped.is_set()) == (1, stops)


async def test_a_token_is_revoked_once(opened: SqliteStore) -> None:
    """A second revocation of a token keeps the time of the first one. Other tokens stay valid."""
    await opened.add_token(_TOKEN)
    await opened.add_token(replace(_TOKEN, id="other"))
    for now in (5, 9):
        await opened.revoke_token("id", now)
    found = {token.id: token.revoked for token in await opened.tokens()}
    assert found == {"id": 5, "other": None}


async def test_the_tables_after_a_deletion(opened: SqliteStore, tmp_path: Path) -> None:
    """A deleted experiment keeps its own row, its streams and `rank_changes`, but no results."""
    events: list[Any] = [declared(), arm(), arm("b"), arm("c", status=3), metrics({"n": 1})]
    for name in ("a", "b", "c"):
        events += [row("val", 1, name, metrics={"n": 1}), metrics({"n": 1}, name, step=1)]
    await opened.transact(record(*events))
    await opened.transact(record(row("late"), writer="w"))
    await opened.transact(delete_arm("b"))
    full = {name for name, rows in dump_sqlite(tmp_path / "podium.db").items() if rows}
    assert full >= {"arms", "arm_parts", "evals", "points", "point_keys", "removals", "scores"}
    await opened.transact(delete_experiment())
    left = {name: rows for name, rows in dump_sqlite(tmp_path / "podium.db").items() if rows}
    assert left.keys() == {"experiments", "experiment_contents", "rank_changes", "streams"}
    assert [content for *_, content in left["experiment_contents"]] == [b""]


@pytest.mark.parametrize(
    ("rows", "pages"),
    [(1, [1, 1, 1, 2]), (2, [2, 3]), (3, [3, 2]), (9, [5])],
)
async def test_the_pages_of_a_series(opened: SqliteStore, rows: int, pages: list[int]) -> None:
    """A page of a series ends when it has enough points, but never between points of one step."""
    steps = [metrics({"n": step}, step=step) for step in range(3)]
    await opened.transact(record(declared(), arm(), *steps, metrics({"m": 1, "n": 1}, step=3)))
    found, first = [], 0
    while True:
        page = await opened.series("x", "a", first, PageLimits(rows, 2**20), SeriesFilter())
        found.append(sum(len(points.values) for points in page.items))
        if page.next is None:
            break
        first = int(page.next)
    assert found == pages


@pytest.mark.parametrize("statuses", [{3}, {2, 3}])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
async def test_the_pages_of_a_ranking(opened: SqliteStore, statuses: set[int], size: int) -> None:
    """The pages of a ranking have each arm once, and no empty page follows the last arm."""
    events: list[Any] = [declared()]
    for name in "abcd":
        events += [arm(name, status=3), row("v", None, name, metrics={"n": ord(name)})]
    await opened.transact(record(*events))
    found: list[list[str]] = []
    after = None
    while not found or after is not None:
        query = RankQuery((("v", "n"),), "maximize", frozenset(statuses), after)
        page = await opened.rank("x", query, PageLimits(size, 2**20))
        found.append([ranked.name for ranked in page.rows])
        after = page.next
    names = ["d", "c", "b", "a"]
    assert found == [names[begin : begin + size] for begin in range(0, 4, size)]


async def test_the_candidates_of_a_ranking(opened: SqliteStore) -> None:
    """A ranking uses, for each arm, the first candidate metric for which the arm has a score."""
    events: list[Any] = [declared()]
    for name, found in (("a", {"k": 1.0}), ("b", {"v.k": 2.0}), ("c", {"k": 3.0, "v.k": 0.5})):
        events += [arm(name), row("v", None, name, metrics=found)]
    await opened.transact(record(*events))
    for candidates, names in (
        ((("v", "v.k"), ("v", "k")), ["b", "a", "c"]),
        ((("v", "k"), ("v", "v.k")), ["c", "b", "a"]),
        ((("v", "k"),), ["c", "a", "b"]),
    ):
        query = RankQuery(candidates, "maximize", frozenset({2}))
        page = await opened.rank("x", query, PageLimits(9, 2**20))
        assert [ranked.name for ranked in page.rows] == names


async def test_points_after_a_new_begin(opened: SqliteStore) -> None:
    """After an arm is replaced, it has only its new points.

    This is true even if earlier points are recorded in the same transaction.
    """
    await opened.transact(record(declared(), arm(), metrics({"n": 1}, step=1)))
    calls = [
        record(metrics({"n": 2, "m": 2}, step=2)),
        record(arm(replace=True), metrics({"m": 3}, step=1), metrics({"n": 4}, step=2)),
    ]
    await asyncio.gather(*map(opened.transact, calls))
    page = await opened.series("x", "a", -1, PageLimits(9, 2**20), SeriesFilter())
    assert page.items == [(1, {"m": 3.0}), (2, {"n": 4.0})]


def test_a_missing_store_file(tmp_path: Path) -> None:
    """If there is no store file, `is_ready` is false and `listed` fails. Neither creates a file."""
    assert not tokens.is_ready(tmp_path / "podium.db")
    with pytest.raises(StoreError, match="there is no store"):
        tokens.listed(tmp_path / "podium.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [0, 1, -5])
async def test_the_rows_after_a_resumption(opened: SqliteStore, step: int) -> None:
    """An arm that is resumed at a step keeps its rows up to this step. Their count is correct."""
    rows = [row("val", each, metrics={"n": each}) for each in (0, 1, 2)]
    await opened.transact(record(declared(), started("a", "A", 1)))
    await opened.transact(record(*rows))
    await opened.transact(record(started("a", "B", 2, resume_step=step)))
    view, page = await opened.arm("x", "a", PageLimits(9, 2**20))
    assert view.row.eval_count == len(page.items) == max(step + 1, 0)
