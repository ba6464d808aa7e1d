"""Tests of rankings and of lists of metrics: pages of any size give the same result."""

import math
from functools import partial
from random import Random
from typing import Any

import podium
import pytest
from podium import ArmStatus, Direction, ranking
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.store.contract import PageLimits, Store
from podium_server.store.ranking_queries import RankPlace, RankQuery
from podium_server.store.rows import Origin
from podium_server.testing.calls import arm, declared, record
from podium_server.testing.paging import every_item
from podium_server.testing.places import Place, opened

_CANDIDATES = (("e", "k"), (None, "e.k"))
_VALUES = (0.0, -0.0, 0.5, 0.5, 0.5, 1.0, -1.5, math.nan, math.nan, math.inf, None, None)
_COMPLETED, _FAILED = 3, 4


def _scored(name: str, value: float | None, status: int = _COMPLETED) -> Any:
    rows = () if value is None else (EvalResult(name="e", metrics={"k": value}),)
    return arm(name, *rows, status=status)


async def _filled(store: Store, rng: Random, count: int) -> list[podium.ArmResult]:
    """Records arms with few different scores. Returns them as ArmResults."""
    events, arms = [], []
    for number in range(count):
        value, status = rng.choice(_VALUES), rng.choice((_COMPLETED,) * 4 + (_FAILED,))
        events.append(_scored(f"arm{number}", value, status))
        rows = [] if value is None else [podium.EvalResult("e", metrics={"k": value})]
        name = "completed" if status == _COMPLETED else "failed"
        arms.append(podium.ArmResult(f"arm{number}", podium.RunConfig("r"), name, evals=rows))
    await store.transact(record(declared(), *events))
    return arms


def _query(direction: str, statuses: set[int], after: RankPlace | None) -> RankQuery:
    return RankQuery(_CANDIDATES, direction, frozenset(statuses), after)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("statuses", [{_COMPLETED}, {_COMPLETED, _FAILED}])
async def test_pages_of_any_size(
    store: Store, size: int, direction: str, statuses: set[int]
) -> None:
    """Each arm is on exactly one page, even with ties, NaN and missing scores."""
    arms = await _filled(store, Random(size), 60)
    names = ["completed"] if statuses == {_COMPLETED} else ["completed", "failed"]
    expected = ranking.rank(
        arms, "e.k", direction=Direction(direction), status=map(ArmStatus, names)
    )
    names, after = [], None
    while True:
        asked = _query(direction, statuses, after)
        page = await store.rank("x", asked, PageLimits(size, 2**21))
        names += [row.name for row in page.rows]
        assert page.tally.numbers == expected.counts.numbers
        assert page.tally.nans == expected.counts.nans
        assert page.tally.without_score == expected.counts.without_score
        after = page.next
        if after is None:
            break
        assert len(page.rows) == size
    assert names == [entry.arm for entry in expected.arms]


async def test_a_page_in_search_of_arms_without_a_score_ends(store: Store) -> None:
    """A page that searches for arms without a score ends early, with the place to continue at."""
    for first in range(0, 5_000, 500):
        events = [_scored(f"arm{n}", 1.0) for n in range(first, first + 500)]
        await store.transact(record(declared(), *events))
    await store.transact(record(_scored("none", None)))
    page = await store.rank("x", _query("maximize", {_COMPLETED}, None), PageLimits(5_000, 2**30))
    rows, pages = list(page.rows), 1
    while page.next is not None:
        asked = _query("maximize", {_COMPLETED}, page.next)
        page = await store.rank("x", asked, PageLimits(5_000, 2**30))
        rows, pages = rows + page.rows, pages + 1
    assert len(rows) == 5_001
    assert rows[-1].name == "none"
    assert 3 <= pages <= 5


async def test_metrics_are_counted_by_origin(store: Store) -> None:
    """Pages of any size list each metric once, in order, with its arms by origin."""
    post, dotted = EvalResult(name="e", metrics={"k": 1}), EvalResult(name="b.c", metrics={"k": 1})
    in_loop = EvalResult(name="e", step=1, metrics={"k": 1})
    await store.transact(
        record(
            declared(),
            arm("a", in_loop, dotted, metrics={"loss": 1}, status=_COMPLETED),
            arm("b", post, dotted, metrics={"loss": 2}, status=_FAILED),
            arm("c", eval_metrics={"k": 1}, status=_COMPLETED),
        )
    )
    for size in (1, 2, 100):
        limits = PageLimits(size, 2**21)
        found = await every_item(partial(store.metrics, "x", limits=limits), "")
        assert found == [
            ("", "k", {Origin.POST_TRAINING_EVAL: 2, Origin.GIVEN_EVAL_METRICS: 1}),
            ("", "loss", {Origin.TRAINING_METRICS: 2}),
            ("b.c", "k", {Origin.POST_TRAINING_EVAL: 2}),
            ("e", "k", {Origin.POST_TRAINING_EVAL: 1, Origin.IN_LOOP_EVAL: 1}),
        ]


async def test_a_store_keeps_its_id(place: Place) -> None:
    """The id of a store is the same after it is closed and opened again."""
    async with opened(place) as store:
        first = await store.store_id()
    async with opened(place) as store:
        assert await store.store_id() == first
    assert len(first) >= 16


async def test_an_answer_comes_with_the_experiment_that_it_saw(store: Store) -> None:
    """A page of a ranking has the experiment at the revision of the ranking."""
    await store.transact(record(declared(success_metric="m"), _scored("a", 1.0)))
    page = await store.rank("x", RankQuery(_CANDIDATES, "maximize"), PageLimits(10, 2**21))
    assert (page.tally.experiment.revision, page.tally.ranking_revision) == (1, 1)
    assert b"m" in (page.tally.experiment.content or b"")
