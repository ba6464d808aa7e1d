"""Tests of pages: each item is listed once, and a page reads a bounded number of rows."""

from itertools import count
from random import Random

import pytest
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.store.contract import Page, PageLimits, Store
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter
from podium_server.testing.calls import arm, declared, delete_arm, delete_experiment, record, row
from podium_server.testing.paging import every_item, step_of

_ROOMY = 2**21
_SCANNED = 5_000
"""A page that finds nothing reads fewer rows than this."""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_show_everything_once(store: Store, size: int) -> None:
    """Arms are listed in order of creation, rows in order of acceptance, experiments by name."""
    steps = [5, 3, None, 9, 0, -4, 7]
    names = [f"e{n}" for n in range(7)]
    await store.transact(record(declared(), *(arm(name) for name in "gfedcba")))
    await store.transact(record(*(row("val", step, "d") for step in steps)))
    for name in reversed(names):
        await store.transact(record(declared(), experiment=name))
    limits = PageLimits(size, _ROOMY)
    arms = await every_item(lambda at: store.arms("x", at, limits, ArmFilter()), -1)
    assert [view.row.name for view in arms] == list("gfedcba")
    rows = await every_item(lambda at: store.evals("x", "d", at, limits, EvalFilter()), -1)
    assert [step_of(content) for content in rows] == steps
    found = await every_item(
        lambda at: store.experiments(at, limits, ExperimentFilter(name_prefix="e")), ""
    )
    assert [experiment.name for experiment in found] == names


async def test_an_arm_comes_with_its_first_page(store: Store) -> None:
    """`arm` returns the first page of rows. `evals` lists the others from that page's `next` on."""
    await store.transact(record(declared(), arm()))
    await store.transact(record(*(row("val", step) for step in range(10))))
    view, page = await store.arm("x", "a", PageLimits(4, _ROOMY))
    assert (view.row.eval_count, len(page.items), page.revision) == (10, 4, 2)
    rest = await every_item(
        lambda at: store.evals("x", "a", at, PageLimits(4, _ROOMY), EvalFilter()), page.next
    )
    assert [step_of(content) for content in page.items + rest] == list(range(10))


async def test_a_page_keeps_to_its_bytes_but_one_item_always_fits(store: Store) -> None:
    """A page ends before it exceeds its limit of bytes. A larger item gets its own page."""
    await store.transact(record(declared(), arm()))
    for step in range(6):
        await store.transact(record(row("val", step, benchmark_id="x" * 200)))
    limits = PageLimits(100, 500)
    pages, place = [], -1
    while True:
        page = await store.evals("x", "a", place, limits, EvalFilter())
        pages.append([step_of(content) for content in page.items])
        if page.next is None:
            break
        place = int(page.next)
    assert pages == [[0, 1], [2, 3], [4, 5]]
    one = await store.evals("x", "a", -1, PageLimits(100, 1), EvalFilter())
    assert [step_of(content) for content in one.items] == [0]


async def test_each_list_keeps_to_its_bytes(store: Store) -> None:
    """Long names, texts and keys end a page of any list early. The first item always fits."""
    long = "x" * 200
    for number in range(3):
        await store.transact(record(declared(hypothesis=long), experiment=f"e{number}"))
    rows = [EvalResult(name="val", metrics={f"{number}{long}": 1.0}) for number in range(3)]
    arms = [arm(f"{number}{long}", result) for number, result in enumerate(rows)]
    await store.transact(record(declared(), *arms))
    for size, expected in ((500, 2), (1, 1)):
        limits = PageLimits(100, size)
        matrix = await store.scores("x", -1, limits, ArmFilter(), [])
        pages = (
            await store.experiments("", limits, ExperimentFilter(name_prefix="e")),
            await store.arms("x", -1, limits, ArmFilter()),
            await store.metrics("x", "", limits),
            await store.changes("x", 0, None, limits),
        )
        assert [len(page.items) for page in pages] == [expected] * 4
        assert len(matrix.arms) == expected
        assert None not in {matrix.next, *(page.next for page in pages)}


async def test_rows_that_stay_appear_once_while_others_come_and_go(store: Store) -> None:
    """Rows that exist all the time appear once, while others are added, replaced and removed."""
    await store.transact(record(declared(), arm()))
    stays = [f"stays{n}" for n in range(40)]
    goes = [EvalResult(name=f"goes{n}") for n in range(40)]
    rows = [EvalResult(name=name) for name in stays]
    both = [result for pair in zip(rows, goes, strict=True) for result in pair]
    await store.transact(record(arm("a", *both)))
    rng, number = Random(1), count()

    async def change() -> None:
        n = next(number)
        await store.transact(record(row(f"new{n}"), row(rng.choice(stays), metrics={"n": n})))
        if n == 5:
            await store.transact(record(arm("a", *rows)))

    found = await every_item(
        lambda at: store.evals("x", "a", at, PageLimits(3, _ROOMY), EvalFilter()), -1, change
    )
    names = [EvalResult.FromString(content).name for content in found]
    assert [name for name in names if name in stays] == stays
    assert len(set(names)) == len(names)


async def test_arms_that_stay_appear_once_while_others_come_and_go(store: Store) -> None:
    """Arms that exist all the time appear once, while others are deleted and recorded."""
    names = [f"a{n}" for n in range(30)]
    await store.transact(record(declared(), *(arm(name) for name in names)))
    number = count()

    async def change() -> None:
        n = next(number)
        if n < 8:
            await store.transact(delete_arm(f"a{3 * n}"))
            await store.transact(
                record(arm(f"new{n}"), arm(f"a{3 * n}"), arm("a1", status=n % 5 + 1))
            )

    found = await every_item(
        lambda at: store.arms("x", at, PageLimits(4, _ROOMY), ArmFilter()), -1, change
    )
    shown = [view.row.name for view in found]
    stays = [name for n, name in enumerate(names) if n % 3 or n >= 24]
    assert [name for name in shown if name in stays] == stays
    assert len({view.row.ordinal for view in found}) == len(found)


async def test_experiments_that_stay_appear_once_while_others_come_and_go(store: Store) -> None:
    """Experiments that exist all the time appear once, in the order of their names."""
    stays = [f"n{n:02}" for n in range(0, 40, 2)]
    for name in stays:
        await store.transact(record(declared(), experiment=name))
    number = count()

    async def change() -> None:
        n = next(number)
        await store.transact(record(declared(), experiment=f"n{2 * n + 1:02}"))
        if n:
            await store.transact(delete_experiment(f"n{2 * n - 1:02}"))

    found = await every_item(
        lambda at: store.experiments(at, PageLimits(3, _ROOMY), ExperimentFilter(name_prefix="n")),
        "",
        change,
    )
    shown = [experiment.name for experiment in found]
    assert [name for name in shown if name in stays] == stays
    assert len(set(shown)) == len(shown)


async def test_a_page_that_finds_nothing_ends(store: Store) -> None:
    """A page whose filter matches nothing ends early, with the place to continue from."""
    await store.transact(record(declared(), arm()))
    for start in range(0, 6_000, 1_000):
        await store.transact(record(*(row("v", n) for n in range(start, start + 1_000))))
    nothing = EvalFilter(name="nothing")
    page = await store.evals("x", "a", -1, PageLimits(10, _ROOMY), nothing)
    assert page.items == []
    assert page.next is not None
    assert 0 < int(page.next) < _SCANNED
    reads = count()

    async def read(at: int) -> Page[bytes]:
        next(reads)
        return await store.evals("x", "a", at, PageLimits(10, _ROOMY), nothing)

    assert await every_item(read, page.next) == []
    assert next(reads) < 10


async def test_the_last_page_says_that_it_is_the_last(store: Store) -> None:
    """The last page has no place to continue from, so no empty page follows."""
    await store.transact(record(declared(), arm("a"), arm("b")))
    await store.transact(record(row("val", 1), row("val", 2)))
    page = await store.evals("x", "a", -1, PageLimits(2, _ROOMY), EvalFilter())
    assert (len(page.items), page.next) == (2, None)
    arms = await store.arms("x", -1, PageLimits(2, _ROOMY), ArmFilter())
    assert (len(arms.items), arms.next) == (2, None)
    found = await store.experiments("", PageLimits(1, _ROOMY), ExperimentFilter())
    assert (len(found.items), found.next) == (1, None)
