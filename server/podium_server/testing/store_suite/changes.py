"""Tests of the change feed: its pages, applied in order, give the state of the last revision."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import podium
import pytest
from podium.errors import PodiumError
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import Event

from podium_server.store.changes import ChangedPoints, ChangedRow, ChangePage, ChangePlace, Removal
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import ArmFilter, EvalFilter, SeriesFilter
from podium_server.store.rows import ArmView, EvalKey
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
from podium_server.testing.paging import every_item

_ROOMY = PageLimits(1_000, 2**21)


@dataclass
class _Replica:
    """The state of a consumer of the feed, and its place in the feed."""

    revision: int = 0
    arms: dict[str, ArmView] = field(default_factory=dict)
    rows: dict[tuple[str, EvalKey], bytes] = field(default_factory=dict)
    place: ChangePlace | None = None

    def apply(self, page: ChangePage) -> bool:
        """Applies a page. Returns whether the replica now has the state of a revision."""
        if page.experiment.deletion > (self.place.begun if self.place else self.revision):
            known = bool(self.arms or self.place or self.revision)
            self.reset()
            if known:
                return False
        for item in page.items:
            match item:
                case Removal(name, None):
                    self.arms.pop(name, None)
                    self.rows = {at: row for at, row in self.rows.items() if at[0] != name}
                case Removal(name, EvalKey() as key):
                    self.rows.pop((name, key), None)
                case ChangedRow(name, key, content, _, _, _):
                    self.rows[name, key] = content
                case ArmView():
                    self.arms[item.row.name] = item
        self.place = page.next
        if page.next is None:
            self.revision = page.experiment.revision
        return page.next is None

    def reset(self) -> None:
        self.revision, self.arms, self.rows, self.place = 0, {}, {}, None


def _readable(view: ArmView) -> ArmView:
    """Returns a view without the fields that change without a revision."""
    return replace(view, row=replace(view.row, digest=None, last_heard=0))


async def _compare_with_reads(store: Store, replica: _Replica) -> None:
    """Compares a replica with the results of all reads."""
    arms = await store.arms("x", -1, _ROOMY, ArmFilter())
    assert replica.revision == arms.revision
    known = sorted(replica.arms.values(), key=lambda view: view.row.ordinal)
    assert list(map(_readable, known)) == list(map(_readable, arms.items))
    for view in arms.items:
        page = await store.evals("x", view.row.name, -1, _ROOMY, EvalFilter())
        rows = [row for (name, _), row in replica.rows.items() if name == view.row.name]
        assert sorted(rows) == sorted(page.items)
    assert {name for name, _ in replica.rows} <= replica.arms.keys()


_ARMS, _NAMES, _STEPS = ("a", "b", "c"), ("v", "w"), (None, None, -1, 0, 1, 5)


def _random_call(rng: Random, number: int) -> Any:
    """Makes a call that often changes results of earlier calls. Some calls are rejected."""
    if rng.random() < 0.08:
        return delete_experiment() if number % 4 == 0 else delete_arm(rng.choice(_ARMS))
    return record(declared(), *_random_events(rng, rng.choice(_ARMS), number))


def _random_events(rng: Random, name: str, number: int) -> list[Event]:
    steps = set(rng.choices(_STEPS, k=rng.randrange(4)))
    rows = [EvalResult(name=rng.choice(_NAMES), metrics={"acc": rng.random()}) for _ in steps]
    match rng.randrange(8):
        case 0:
            return [arm(name, *rows[:1], replace=True, status=rng.choice((2, 3, 4)))]
        case 1:
            return [started(name, str(number), number, restart=True)]
        case 2:
            return [started(name, str(number), number, resume_step=rng.choice((0, 1)))]
        case 3:
            return [metrics({"loss": rng.random()}, name)]
        case _:
            pairs = zip(rows, steps, strict=True)
            return [row(late.name, step, name, metrics=late.metrics) for late, step in pairs]


@pytest.mark.parametrize("seed", range(8))
async def test_random_histories(store: Store, seed: int) -> None:
    """Consumers that read pages of any size get the same state as a full read."""
    rng, held = Random(seed), 0
    replicas = [_Replica() for _ in range(3)]
    for number in range(250):
        with suppress(PodiumError):
            await store.transact(_random_call(rng, number))
        if rng.random() < 0.5:
            held += await _ask(store, rng, replicas[rng.randrange(3)])
    assert held >= 10


async def _ask(store: Store, rng: Random, replica: _Replica) -> int:
    """Reads some pages of changes, and compares a complete replica with the store.

    Returns 1 if it compared them, or else 0.
    """
    for _ in range(rng.choice((1, 2, 9))):
        limits = PageLimits(rng.choice((1, 2, 3, 100)), rng.choice((1, 200, 2**21)))
        try:
            page = await store.changes("x", replica.revision, replica.place, limits)
        except podium.NotFoundError:
            replica.reset()
            return 0
        if replica.apply(page):
            await _compare_with_reads(store, replica)
            return 1
    return 0


async def _changes(store: Store, after: int) -> list[object]:
    page = await store.changes("x", after, None, _ROOMY)
    assert page.next is None
    return [item.row.name if isinstance(item, ArmView) else item[:2] for item in page.items]


async def test_the_order_of_the_feed(store: Store) -> None:
    """The feed lists each item once, by revision, removals first. A snapshot has no removals."""
    await store.transact(record(declared(), arm("a"), arm("b")))
    await store.transact(record(row("v", 1), row("v", 2)))
    await store.transact(record(row("v", None, "b")))
    await store.transact(record(row("v", 1, metrics={"acc": 1})))
    v1, v2, post = EvalKey("v", 1), EvalKey("v", 2), EvalKey("v", None)
    assert await _changes(store, 0) == [("a", v2), "b", ("b", post), "a", ("a", v1)]
    assert await _changes(store, 3) == ["a", ("a", v1)]
    assert await _changes(store, 4) == []
    await store.transact(delete_arm("b"))
    await store.transact(record(arm("a", replace=True)))
    assert await _changes(store, 4) == [("b", None), ("a", v1), ("a", v2), "a"]
    assert await _changes(store, 0) == ["a"]


@pytest.mark.parametrize("limits", [PageLimits(1, 2**21), PageLimits(2, 2**21), PageLimits(9, 1)])
async def test_pages_of_one_revision(store: Store, limits: PageLimits) -> None:
    """A page may end within a revision. Each item of the revision is still listed once."""
    await store.transact(record(declared(), *(arm(name) for name in "abc")))
    await store.transact(record(*(row("v", step) for step in range(5))))
    rows = [row("w", step, name) for name in "abc" for step in range(3)]
    await store.transact(record(arm("a", replace=True), metrics({"loss": 1}, "b"), *rows))
    items = await every_item(lambda place: store.changes("x", 2, place, limits), None)
    found = [item.row.name if isinstance(item, ArmView) else tuple(item[:2]) for item in items]
    removed = [("a", EvalKey("v", step)) for step in range(5)]
    recorded = [(name, EvalKey("w", step)) for name in "abc" for step in range(3)]
    assert found == [*removed, *"abc", *recorded]


async def test_an_earlier_experiment_of_the_name(store: Store) -> None:
    """If an experiment was deleted and created again, `deletion` has the revision of the deletion.

    From `deletion`, consumers can see that their state is obsolete.
    """
    await store.transact(record(declared(), arm("a")))
    await store.transact(delete_experiment())
    with pytest.raises(podium.NotFoundError):
        await store.changes("x", 0, None, _ROOMY)
    await store.transact(record(declared(), arm("b")))
    page = await store.changes("x", 1, None, _ROOMY)
    assert page.experiment.deletion == 2
    assert await _changes(store, 0) == ["b"]


async def test_a_consumer_that_is_ahead_gets_nothing(store: Store) -> None:
    """A consumer at a revision that the store has not reached yet gets no changes."""
    await store.transact(record(declared(), arm("a")))
    page = await store.changes("x", 99, None, _ROOMY)
    assert (page.items, page.next, page.experiment.revision) == ([], None, 1)


async def _points(store: Store, after: int, *keys: str, pages: int = 1) -> list[object]:
    """Returns the arm, first step and points of each changed piece. A page has `pages` items."""
    shown, limits = SeriesFilter(frozenset(keys)), PageLimits(pages, 2**21)
    items = await every_item(lambda place: store.changes("x", after, place, limits, shown), None)
    return [
        (item.arm, item.first, [tuple(point) for point in item.points])
        for item in items
        if isinstance(item, ChangedPoints)
    ]


@pytest.mark.parametrize("pages", [1, 100])
async def test_points_of_training_series(store: Store, pages: int) -> None:
    """A changed series lists all points of the arm from the first changed step on.

    They replace all points that a consumer has from this step on.
    """
    await store.transact(record(declared(), started("a", "1", 1), arm("b")))
    for step in (1, 2, 3):
        await store.transact(record(metrics({"loss": step, "lr": 0}, step=step)))
    first = -(2**63)
    whole = [(1, {"loss": 1, "lr": 0}), (2, {"loss": 2, "lr": 0}), (3, {"loss": 3, "lr": 0})]
    assert await _points(store, 0, pages=pages) == [("a", first, whole)]
    assert await _points(store, 1, pages=pages) == [("a", 1, whole)]
    assert await _points(store, 3, pages=pages) == [("a", 3, whole[2:])]
    assert await _points(store, 4, pages=pages) == []
    loss = [(step, {"loss": values["loss"]}) for step, values in whole]
    assert await _points(store, 0, "loss", pages=pages) == [("a", first, loss)]
    await store.transact(record(metrics({"loss": 9}, step=2)))
    assert await _points(store, 4, "loss", pages=pages) == [("a", 2, [(2, {"loss": 9}), loss[2]])]
    await store.transact(record(started("a", "2", 2, resume_step=1)))
    assert await _points(store, 4, pages=pages) == [("a", 2, [])]
    await store.transact(record(started("a", "3", 3, restart=True)))
    assert await _points(store, 4, pages=pages) == [("a", first, [])]
    assert await _points(store, 0, pages=pages) == []
