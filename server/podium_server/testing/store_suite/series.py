"""Tests of training series: points by key and step, their pages, and their removal."""

import struct
from collections.abc import Mapping

import podium
import pytest

from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import SeriesFilter
from podium_server.testing.calls import (
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    started,
)
from podium_server.testing.paging import every_item

_FIRST, _LAST = -(2**63), 2**63 - 1
_ROOMY = PageLimits(10_000, 2**21)
_ALL = SeriesFilter()


async def _points(
    store: Store, limits: PageLimits = _ROOMY, shown: SeriesFilter = _ALL, first: int = _FIRST
) -> list[tuple[int, dict[str, float]]]:
    """Returns every point of arm a of experiment x, page by page."""
    points = await every_item(lambda at: store.series("x", "a", at, limits, shown), first)
    return [(step, dict(values)) for step, values in points]


async def _store_points(store: Store, *points: tuple[int, Mapping[str, float]]) -> int:
    outcome = await store.transact(record(*(metrics(values, step=step) for step, values in points)))
    return outcome.revision


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_pages_show_every_point_once(store: Store, size: int) -> None:
    """Pages list all points once, in order of steps. Filters select keys and steps."""
    await store.transact(record(declared(), arm()))
    await _store_points(store, (5, {"loss": 0.5, "lr": 1}), (_FIRST, {"loss": 3}))
    await _store_points(store, (_LAST, {"lr": 2}), (0, {"loss": 2}), (5, {"loss": 0.25}))
    limits = PageLimits(size, 2**21)
    assert await _points(store, limits) == [
        (_FIRST, {"loss": 3}),
        (0, {"loss": 2}),
        (5, {"loss": 0.25, "lr": 1}),
        (_LAST, {"lr": 2}),
    ]
    of_lr = SeriesFilter(frozenset({"lr", "none"}))
    assert await _points(store, limits, of_lr) == [(5, {"lr": 1}), (_LAST, {"lr": 2})]
    between = SeriesFilter(max_step=5)
    assert await _points(store, limits, between, 0) == [
        (0, {"loss": 2}),
        (5, {"loss": 0.25, "lr": 1}),
    ]


async def test_a_page_that_finds_no_point_ends(store: Store) -> None:
    """A page that filters by a rare key ends early, with the place to continue from."""
    await store.transact(record(declared(), arm()))
    many = {f"k{number}": 0.0 for number in range(500)}
    for begin in range(0, 200, 20):
        await _store_points(store, *((step, many) for step in range(begin, begin + 20)))
    await _store_points(store, (999, {"rare": 1}))
    rare = SeriesFilter(frozenset({"rare"}))
    page = await store.series("x", "a", _FIRST, _ROOMY, rare)
    assert page.items == []
    assert page.next is not None
    assert await _points(store, shown=rare) == [(999, {"rare": 1})]


async def test_points_come_back_bit_by_bit(store: Store) -> None:
    """NaN, -0.0, an infinity and the smallest double are stored and returned bit by bit."""
    values = {"nan": float("nan"), "zero": -0.0, "inf": float("-inf"), "tiny": 5e-324}
    await store.transact(record(declared(), arm()))
    await _store_points(store, (1, values))
    [(_, found)] = await _points(store)
    assert {key: struct.pack("<d", value) for key, value in found.items()} == {
        key: struct.pack("<d", value) for key, value in values.items()
    }


async def test_an_equal_point_makes_no_revision(store: Store) -> None:
    """A repeated point changes nothing, not even the latest value of its key."""
    await store.transact(record(declared(), arm()))
    await _store_points(store, (1, {"loss": 3, "nan": float("nan")}))
    assert await _store_points(store, (2, {"loss": 2})) == 3
    assert await _store_points(store, (1, {"loss": 3, "nan": float("nan")})) == 3
    score = await store.score("x", "a", [(None, "loss")])
    assert score is not None
    assert score.entry.value == 2


async def test_an_attempt_keeps_the_points_up_to_its_step_or_none(store: Store) -> None:
    """A resumed attempt removes stored points after its step, but not points of the same call.

    Any other attempt clears the series.
    """
    await store.transact(record(declared(), started("a", "A", 1)))
    await _store_points(store, *((step, {"loss": 1}) for step in (-1, 0, 5, 6)))
    await store.transact(record(started("a", "B", 2, resume_step=5)))
    assert [step for step, _ in await _points(store)] == [-1, 0, 5]
    score = await store.score("x", "a", [(None, "loss")])
    assert score is not None
    await store.transact(record(started("a", "C", 3)))
    assert await _points(store) == []
    await _store_points(store, (7, {"other": 1}))
    assert await _points(store) == [(7, {"other": 1})]
    own = metrics({"new": 2}, step=7)
    own.metrics_recorded.attempt_id = "D"
    await store.transact(record(started("a", "D", 4, resume_step=6), own))
    assert await _points(store) == [(7, {"new": 2})]


async def test_a_whole_arm_has_no_series(store: Store) -> None:
    """Recording an identical arm keeps its points. Recording it with `replace` removes them."""
    await store.transact(record(declared(), arm(metrics={"loss": 1})))
    await _store_points(store, (1, {"loss": 1}))
    await store.transact(record(arm(metrics={"loss": 1})))
    assert len(await _points(store)) == 1
    outcome = await store.transact(record(arm(metrics={"loss": 1}, replace=True)))
    assert outcome.revision == 3
    assert await _points(store) == []


async def test_a_deleted_arm_leaves_no_points_to_the_next_of_its_name(store: Store) -> None:
    """Deleting an arm or its experiment deletes the series. An unknown arm is not found."""
    await store.transact(record(declared(), arm()))
    await _store_points(store, (1, {"loss": 1}))
    await store.transact(delete_arm("a"))
    with pytest.raises(podium.NotFoundError):
        await _points(store)
    await store.transact(record(arm()))
    assert await _points(store) == []
    await _store_points(store, (1, {"loss": 1}))
    await store.transact(delete_experiment())
    await store.transact(record(declared(), arm()))
    assert await _points(store) == []
