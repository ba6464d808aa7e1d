"""Tests that a page reads a bounded number of rows, and that no row is skipped between pages."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from podium.v1.eval_result_pb2 import EvalResult
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter, SeriesFilter
from podium_server.store.ranking_queries import RankQuery
from podium_server.store.series_changes import FIRST_STEP
from podium_server.store.sql import lists, points, rankings, reads
from podium_server.store.sqlite import SqliteStore
from podium_server.testing.calls import arm, declared, delete_arm, metrics, record, row
from podium_server.testing.paging import every_item, step_of

from tests.server.store.places import new_place, opened
from tests.stores import only_sqlite

_ROOMY = PageLimits(100, 2**21)
_SCANNED = 3
_COUNT = 10


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """Yields a store whose pages read few rows."""
    monkeypatch.setattr(lists, "_SCAN_ROWS", _SCANNED)
    monkeypatch.setattr(rankings, "_SCAN_ROWS", _SCANNED)
    monkeypatch.setattr(points, "_SCANNED_BYTES", _SCANNED * points._POINT.size)
    async with opened(new_place(tmp_path)) as store:
        yield store


async def test_a_filter_finds_each_row(store: Store) -> None:
    """A filter finds each row, even if it is the first or the last row that a page reads."""
    for number in range(_COUNT):
        await store.transact(record(declared(tags=[str(number)]), experiment=f"e{number}"))
    await store.transact(record(declared(), *(arm(str(number)) for number in range(_COUNT))))
    await store.transact(record(*(row(str(step), step, "0") for step in range(_COUNT))))
    for wanted in map(str, range(_COUNT)):
        assert await _found(store, wanted) == [wanted, int(wanted), f"e{wanted}"]


async def _found(store: Store, wanted: str) -> list[Any]:
    """Returns the arms, the steps of rows, and the experiments that filters find, page by page."""
    named, tagged = EvalFilter(wanted), ExperimentFilter(tags=frozenset({wanted}))
    shown = ArmFilter(name_prefix=wanted)
    arms = await every_item(lambda at: store.arms("x", at, _ROOMY, shown), -1)
    rows = await every_item(lambda at: store.evals("x", "0", at, _ROOMY, named), -1)
    found = await every_item(lambda at: store.experiments(at, _ROOMY, tagged), "")
    return [*(view.row.name for view in arms), *map(step_of, rows), *(each.name for each in found)]


async def test_a_page_reads_a_bounded_number_of_rows(store: Store) -> None:
    """A page of arms, rows or experiments ends at the last row that it may read.

    It ends there even if no row has passed its filter.
    """
    for number in range(_COUNT):
        await store.transact(record(declared(), experiment=f"e{number}"))
    await store.transact(record(declared(), *(arm(str(number)) for number in range(_COUNT))))
    await store.transact(record(*(row("val", step, "0") for step in range(_COUNT))))
    arms = await store.arms("x", -1, _ROOMY, ArmFilter(name_prefix="none"))
    rows = await store.evals("x", "0", -1, _ROOMY, EvalFilter("none"))
    found = await store.experiments("", _ROOMY, ExperimentFilter(tags=frozenset({"none"})))
    assert (arms.items, rows.items, found.items) == ([], [], [])
    assert (arms.next, rows.next, found.next) == (2, 2, "e2")


async def test_a_series_is_read_in_bounded_pages(store: Store) -> None:
    """A page that filters by a rare key reads a bounded number of points, and can be empty.

    A later page has the only point with this key.
    """
    await store.transact(record(declared(), arm()))
    values = [{"often": 1.0, "rare": 1.0} if step == 6 else {"often": 1.0} for step in range(9)]
    await store.transact(record(*(metrics(each, step=n) for n, each in enumerate(values))))
    rare = SeriesFilter(frozenset({"rare"}))
    page = await store.series("x", "a", FIRST_STEP, _ROOMY, rare)
    assert (page.items, page.next) == ([], _SCANNED)
    found = await every_item(lambda at: store.series("x", "a", at, _ROOMY, rare), FIRST_STEP)
    assert [(step, dict(each)) for step, each in found] == [(6, {"rare": 1.0})]


async def test_a_ranking_searches_arms_without_a_score_in_bounded_pages(store: Store) -> None:
    """A page that searches for arms without a score ends early if it finds few.

    Together, the pages have every arm.
    """
    for number in range(_COUNT):
        rows = [EvalResult(name="e", metrics={"k": number})] if number not in {4, 7} else []
        await store.transact(record(declared(), arm(f"a{number}", *rows, status=3)))
    query = RankQuery((("e", "k"),), "maximize")
    page, names, pages = await store.rank("x", query, _ROOMY), list[str](), 1
    names += [found.name for found in page.rows]
    while page.next is not None:
        after = RankQuery(query.candidates, "maximize", after=page.next)
        page = await store.rank("x", after, _ROOMY)
        names += [found.name for found in page.rows]
        pages += 1
    assert names == [f"a{number}" for number in (9, 8, 6, 5, 3, 2, 1, 0, 4, 7)]
    assert pages == 4


@only_sqlite
async def test_few_places_are_cached(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads cache the ids of at most `_PLACES_LIMIT` arms.

    After an arm is deleted and recorded again, a read does not find its earlier row.
    """
    monkeypatch.setattr(reads, "_PLACES_LIMIT", 2)
    await store.transact(record(declared(), *(arm(name) for name in "abcde")))
    await store.transact(record(*(row("val", step, name) for step, name in enumerate("abcde"))))
    assert isinstance(store, SqliteStore)
    places = store._reader._places
    for step, name in enumerate("abcde" * 2):
        assert await store.eval("x", name, "val", step % 5) is not None
        assert len(places) <= 2
    await store.transact(delete_arm("e"))
    await store.transact(record(arm("e"), row("val", 9, "e")))
    assert await store.eval("x", "e", "val", 4) is None
    assert await store.eval("x", "e", "val", 9) is not None
