"""The change feed: its pages, applied together, give exactly the state of their last revision."""

from dataclasses import dataclass, field
from random import Random

import podium
import pytest
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium_server.store.changes import ChangedRow, ChangePage, ChangePlace, Removal
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import ArmFilter, EvalFilter
from podium_server.store.rows import ArmView, EvalKey

from tests.server.store.calls import arm, declared, delete_arm, delete_experiment, record, row
from tests.server.store.test_derived import follow
from tests.server.writes.naive_events import Experiment
from tests.server.writes.random_calls import random_call
from tests.server.writes.ways import Direct

_ROOMY = PageLimits(1_000, 2**21)


@dataclass
class _Replica:
    """What a consumer of the feed knows, and where it is in the feed."""

    revision: int = 0
    arms: dict[str, ArmView] = field(default_factory=dict)
    rows: dict[tuple[str, EvalKey], bytes] = field(default_factory=dict)
    place: ChangePlace | None = None
    resets: int = 0

    def apply(self, page: ChangePage) -> bool:
        """Applies a page; tells whether the replica now has the state of a revision."""
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
                case ChangedRow(name, key, content):
                    self.rows[name, key] = content
                case ArmView():
                    self.arms[item.row.name] = item
        self.place = page.next
        if page.next is None:
            self.revision = page.experiment.revision
        return page.next is None

    def reset(self) -> None:
        """Forgets everything."""
        self.revision, self.arms, self.rows, self.place = 0, {}, {}, None
        self.resets += 1


async def _hold(store: Store, replica: _Replica) -> None:
    """Compares a replica with everything that can be read."""
    arms = await store.arms("x", -1, _ROOMY, ArmFilter())
    assert replica.revision == arms.revision
    assert sorted(replica.arms.values(), key=lambda view: view.row.ordinal) == arms.items
    for view in arms.items:
        page = await store.evals("x", view.row.name, -1, _ROOMY, EvalFilter())
        rows = [row for (name, _), row in replica.rows.items() if name == view.row.name]
        assert sorted(rows) == sorted(page.items)
    assert {name for name, _ in replica.rows} <= replica.arms.keys()


@pytest.mark.parametrize("seed", range(8))
async def test_random_histories(store: Store, seed: int) -> None:
    """Consumers that ask now and then, in pages of any size, see what a full read shows."""
    rng, model, held = Random(seed), Experiment(), 0  # noqa: S311 - the same calls every time
    way = Direct(store, Limits())
    replicas = [_Replica() for _ in range(3)]
    for _ in range(150):
        request = random_call(rng, model, "x")
        try:
            await way.call(type(request).__name__.removesuffix("Request"), request)
        except PodiumError:
            continue
        follow(model, request)
        if rng.random() < 0.5:
            held += await _ask(store, rng, replicas[rng.randrange(3)])
    assert held >= 4


async def _ask(store: Store, rng: Random, replica: _Replica) -> int:
    """Asks for some pages, and compares the replica when it is complete."""
    for _ in range(rng.choice((1, 2, 9))):
        limits = PageLimits(rng.choice((1, 2, 3, 100)), rng.choice((1, 200, 2**21)))
        try:
            page = await store.changes("x", replica.revision, replica.place, limits)
        except podium.NotFoundError:
            replica.reset()
            return 0
        if replica.apply(page):
            await _hold(store, replica)
            return 1
    return 0


async def _changes(store: Store, after: int) -> list[object]:
    page = await store.changes("x", after, None, _ROOMY)
    assert page.next is None
    return [item.row.name if isinstance(item, ArmView) else item[:2] for item in page.items]


async def test_the_order_of_the_feed(store: Store) -> None:
    """Items come by revision, each once, removals first; a snapshot has no removals."""
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


async def test_an_earlier_life_is_told_apart(store: Store) -> None:
    """After a deletion the experiment's `deletion` says that what was known is void."""
    await store.transact(record(declared(), arm("a")))
    await store.transact(delete_experiment())
    with pytest.raises(podium.NotFoundError):
        await store.changes("x", 0, None, _ROOMY)
    await store.transact(record(declared(), arm("b")))
    page = await store.changes("x", 1, None, _ROOMY)
    assert page.experiment.deletion == 2
    assert await _changes(store, 0) == ["b"]


async def test_a_consumer_that_is_ahead_gets_nothing(store: Store) -> None:
    """A revision that the store has not reached yet has no changes after it."""
    await store.transact(record(declared(), arm("a")))
    page = await store.changes("x", 99, None, _ROOMY)
    assert (page.items, page.next, page.experiment.revision) == ([], None, 1)
