"""Tests that cached rankings and matrices of scores are right after any change."""

from typing import Any

import pytest
from podium._limits.limits import Limits
from podium.v1.config_filter_pb2 import ConfigFilter
from podium.v1.results_service_pb2 import (
    RankRequest,
    RankResponse,
    ScoresRequest,
    ScoresResponse,
)
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.value_pb2 import Value
from podium_server.api.answer_cache import AnswerCache
from podium_server.api.results import Results
from podium_server.store.contract import Store
from podium_server.store.sqlite import SqliteStore
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


@pytest.fixture
async def store(tmp_path: Any) -> Any:
    """Yields a store with two completed arms."""
    store = SqliteStore(tmp_path / "podium.db")
    await store.open()
    arms = (arm("a", status=3, metrics={"m": 1}), arm("b", status=3, metrics={"m": 2}))
    await store.transact(record(declared(success_metric="m"), *arms))
    yield store
    await store.close()


class _Asker:
    """Asks a server with a cache of answers, and counts how often it reads from the store."""

    def __init__(self, store: Store) -> None:
        self._results = Results(store, Limits(), answer_cache_bytes=10_000)
        self._store: Any = store
        self.looked = 0
        for name in ("rank", "members", "scores"):
            setattr(store, name, self._counting(getattr(store, name)))

    def _counting(self, look: Any) -> Any:
        async def counted(*arguments: Any) -> Any:
            self.looked += 1
            return await look(*arguments)

        return counted

    async def ask(self, **asked: Any) -> RankResponse:
        """Returns the answer to a Rank request with these fields."""
        request = RankRequest(experiment="x", **asked)
        return RankResponse.FromString(await self._results.rank(request))

    async def matrix(self, *metrics: str) -> list[tuple[str, list[float]]]:
        """Returns the columns of a matrix of scores: the name and the values of each metric."""
        request = ScoresRequest(experiment="x", metrics=metrics)
        found = ScoresResponse.FromString(await self._results.scores(request))
        return [(column.metric, list(column.values)) for column in found.columns]


async def test_a_ranking_is_kept_while_other_arms_train(store: Store) -> None:
    """If a running arm changes, a cached ranking is updated.

    Its revision and counts change, but its order is not read again.
    """
    asker = _Asker(store)
    first = await asker.ask()
    await store.transact(record(started("c", "A", 1)))
    await store.transact(record(row("val", 1, "c", metrics={"m": 9}), metrics({"m": 9}, "c")))
    second = await asker.ask()
    assert [entry.arm for entry in second.arms] == ["b", "a"]
    assert (second.revision, second.ranking_revision) == (3, first.ranking_revision)
    assert (second.counts.numbers, second.counts.left_out.running) == (2, 1)
    assert asker.looked == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda: record(arm("a", status=3, metrics={"m": 3})),
        lambda: record(arm("c", status=3, metrics={"m": 3})),
        lambda: record(arm("b", status=4, metrics={"m": 2})),
        lambda: record(metrics({"m": -1}, "b")),
        lambda: record(row("test", name="b", tags=["test"], metrics={"m": 0})),
        lambda: record(arm("b", status=3, metrics={"m": 2}, group_name="g")),
        lambda: delete_arm("b"),
    ],
)
async def test_a_completed_arm_that_changes_ends_it(store: Store, change: Any) -> None:
    """After any change of a completed arm, the ranking equals that of a server without a cache."""
    asker = _Asker(store)
    before = await asker.ask()
    await store.transact(change())
    after = await asker.ask()
    assert after == RankResponse.FromString(
        await Results(store, Limits()).rank(RankRequest(experiment="x"))
    )
    assert after.arms != before.arms
    assert after.ranking_revision == after.revision == 2


async def test_a_request_without_a_metric_uses_the_current_one(store: Store) -> None:
    """A request without a metric uses the experiment's current metric and direction.

    After these have changed, the cached ranking is not used.
    """
    asker = _Asker(store)
    await asker.ask()
    await store.transact(record(declared(success_metric="n", direction=2, overwrite=True)))
    found = await asker.ask()
    assert (found.metric, found.direction, found.counts.without_score) == ("n", 2, 2)


async def test_groups_and_other_statuses_are_kept_until_anything_changes(store: Store) -> None:
    """Rankings by group, or with failed arms, are cached until any arm changes."""
    asker = _Asker(store)
    for asked in ({"by_group": True}, {"statuses": [3, 4]}):
        before = asker.looked
        first = await asker.ask(**asked)
        assert await asker.ask(**asked) == first
        assert asker.looked == before + 1
        await store.transact(record(arm(f"failed{before}", status=4)))
        assert (await asker.ask(**asked)).revision == first.revision + 1
        assert asker.looked == before + 2


@pytest.mark.parametrize(
    "change",
    [
        lambda: record(metrics({"m": 3}, "a")),
        lambda: record(started("c", "A", 1)),
        lambda: delete_arm("b"),
    ],
)
async def test_a_matrix_is_kept_until_anything_changes(store: Store, change: Any) -> None:
    """A matrix is cached until the experiment changes.

    Then it is read again, and equals the matrix of a server without a cache.
    """
    asker = _Asker(store)
    assert await asker.matrix("m") == await asker.matrix("m") == [("m", [1, 2])]
    assert asker.looked == 1
    assert await asker.matrix("m", "n") == [("m", [1, 2]), ("n", [0, 0])]
    await store.transact(change())
    request = ScoresRequest(experiment="x", metrics=["m"])
    without = ScoresResponse.FromString(await Results(store, Limits()).scores(request))
    assert await asker.matrix("m") == [("m", list(without.columns[0].values))]
    assert await asker.matrix("m") != [("m", [1, 2])]


async def test_an_experiment_made_again_has_no_old_matrix(store: Store) -> None:
    """If an experiment is deleted and declared again, its old matrix is not returned."""
    asker = _Asker(store)
    await asker.matrix("m")
    await store.transact(delete_experiment())
    await store.transact(record(declared(success_metric="m"), arm("a", status=3, metrics={"m": 5})))
    assert await asker.matrix("m") == [("m", [5])]


def test_the_memory_is_bounded() -> None:
    """If the cache is full, the least recently used response is removed.

    A response that is too large is not cached.
    """
    cache = AnswerCache(20)
    a, b, c, newer = (letter * 8 for letter in (b"A", b"B", b"C", b"N"))
    cache.keep(b"a", 1, a)
    cache.keep(b"b", 1, b)
    assert cache.find(b"a", 1) == a
    cache.keep(b"c", 1, c)
    assert [cache.find(key, 1) for key in (b"a", b"b", b"c")] == [a, None, c]
    assert cache.find(b"a", 2) is None
    cache.keep(b"a", 2, newer)
    assert [cache.find(b"a", 2), cache.find(b"a", 1), cache.find(b"c", 1)] == [newer, None, c]
    cache.keep(b"d", 1, b"D" * 99)
    assert [cache.find(key, 1) for key in (b"c", b"d")] == [c, None]
    cache.keep(b"e", 1, b"E" * 19)
    assert [cache.find(key, 1) for key in (b"c", b"e")] == [None, b"E" * 19]
    cache.keep(b"e", 2, b"E" * 99)
    assert cache.find(b"e", 1) is None


def test_without_memory_nothing_is_kept() -> None:
    """A cache with a size of 0 bytes keeps nothing."""
    cache = AnswerCache(0)
    cache.keep(b"a", 1, b"")
    assert cache.find(b"a", 1) is None


def test_keys_count_for_the_memory() -> None:
    """Requests and responses together never exceed the size of the cache.

    This holds even if responses are replaced.
    """
    cache = AnswerCache(40)
    for number in range(20):
        cache.keep(bytes([number]) * 15, 1, b"a" * 5)
        cache.keep(bytes([number]) * 15, 2, b"b" * (number % 6))
        assert sum(len(key) + len(kept) for key, (_, kept) in cache._kept.items()) <= 40
    assert cache.find(b"\x13" * 15, 2) is not None
    cache.keep(b"k" * 20, 1, b"v" * 20)
    assert cache.find(b"k" * 20, 1) == b"v" * 20


async def test_a_metric_that_is_declared_meanwhile_counts(store: Store) -> None:
    """If the success metric changes during a request, the response names the new metric.

    Its count of arms without a score is of the new metric, too.
    """
    asker: Any = _Asker(store)
    look = asker._store.rank

    async def declare_and_look(*arguments: Any) -> Any:
        if not asker.looked:
            await store.transact(record(declared(success_metric="n", overwrite=True)))
        return await look(*arguments)

    asker._store.rank = declare_and_look
    found = await asker.ask()
    assert (found.metric, found.counts.without_score) == ("n", 2)


@pytest.mark.parametrize("by_group", [False, True])
async def test_a_filter_selects_what_is_left_out(store: Store, *, by_group: bool) -> None:
    """With a filter, the counts of left-out arms include only arms that pass the filter.

    Without a filter, they include all arms.
    """
    config = RunConfig(name="r", tags=["t"], seed=7)
    left_out = arm("failed", status=4, run_config=config, group_name="g")
    await store.transact(record(left_out, arm("other", status=4), arm("third", status=5)))
    filters: list[dict[str, Any]] = [
        {"group_name": "g"},
        {"name_prefix": "f"},
        {"tags": ["t"]},
        {"config": [ConfigFilter(path="seed", equals=Value(int_value=7))]},
    ]
    asker = _Asker(store)
    for asked in ({}, *filters):
        found = await asker.ask(by_group=by_group, **asked)
        expected = (1, 0) if asked else (2, 1)
        assert (found.counts.left_out.failed, found.counts.left_out.cancelled) == expected, asked
