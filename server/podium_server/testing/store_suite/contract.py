"""Tests of calls: they are durable, ordered and isolated from each other."""

import asyncio
import struct
from collections.abc import Callable, Collection
from random import Random
from typing import Any

import podium
import pytest
from podium.errors import PodiumError
from podium.v1.eval_result_pb2 import EvalResult

from podium_server.store.calls import Subject
from podium_server.store.contract import PageLimits, Store
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter
from podium_server.testing.calls import (
    BrokenAfter,
    BrokenBefore,
    arm,
    declared,
    delete_arm,
    delete_experiment,
    metrics,
    record,
    row,
    started,
)
from podium_server.testing.places import Place, opened
from podium_server.writes import RecordCall

_PAGE = PageLimits(1_000, 2**21)


async def _outcome(store: Store, call: Any) -> object:
    try:
        return await store.transact(call)
    except (PodiumError, ArithmeticError) as error:
        return getattr(error, "reason", type(error))


async def _everything(store: Store) -> object:
    """Returns everything that can be read of experiment x."""
    found = await store.experiment("x")
    arms = await store.arms("x", -1, _PAGE, ArmFilter())
    rows = [await store.evals("x", view.row.name, -1, _PAGE, EvalFilter()) for view in arms.items]
    return found, arms, rows


async def test_what_was_answered_is_there_after_reopening(place: Place) -> None:
    """All reads return the same after a store is closed and opened again."""
    async with opened(place) as store:
        await store.transact(record(declared(hypothesis="h"), arm("a", metrics={"loss": 0.5})))
        await store.transact(record(row("val", 5, metrics={"acc": 0.25}), writer="w"))
        await store.transact(record(arm("b"), arm("c")))
        await store.transact(delete_arm("b"))
        before = await _everything(store)
        dump = place.dump()
    async with opened(place) as store:
        assert await _everything(store) == before
        assert place.dump() == dump
        again = await store.transact(record(row("val", 5, metrics={"acc": 0.25}), writer="w"))
        assert (again.revision, again.skipped_events, again.last_sequence) == (4, 1, 1)


async def test_stored_rows_are_counted(store: Store) -> None:
    """`row_count` counts experiments, arms, eval rows and logged steps.

    Repeated events and removed rows do not count.
    """
    rows = store.row_count
    assert await rows([]) == 0
    await store.transact(record(declared(), arm("a"), started("b", "b1", 1)))
    assert await rows([]) == 3
    await store.transact(record(*(row("val", step) for step in (1, 2, 3)), row("val", 1)))
    assert await rows([]) == 6
    for key in ("loss", "lr"):
        points = (metrics({key: 1.0}, "b", step=step) for step in range(5))
        await store.transact(record(*points))
    assert await rows([]) == 11
    await store.transact(record(metrics({"loss": 2.0}, "b"), row("val", 2, metrics={"acc": 1})))
    await store.transact(record(started("b", "b2", 2, resume_step=1)))
    assert await rows([]) == 8
    for name in ("x/deep", "x.other", "x0", "xy/z", "w"):
        await store.transact(record(declared(), experiment=name))
    assert await rows(["x"]) == 9
    assert await rows(["x/deep", "x", "x/d", "none"]) == 9
    assert await rows(["xy", "w"]) == 2
    await store.transact(delete_arm("b"))
    assert await rows(["x"]) == 6
    await store.transact(delete_experiment())
    assert await rows(["x"]) == 1
    await store.transact(record(declared()))
    assert (await rows(["x"]), await rows([])) == (2, 6)


async def test_a_read_sees_every_call_that_has_returned(store: Store) -> None:
    """A read that begins after a call has returned sees its changes."""
    await store.transact(record(declared(), arm()))
    for number in range(50):
        await store.transact(record(row("val", number, metrics={"n": number})))
        score = await store.score("x", "a", [("val", "n")])
        assert score is not None
        assert score.entry.value == number
        assert (await store.experiment("x")).revision == number + 2


async def test_calls_at_once_are_applied_in_order_without_a_gap(store: Store) -> None:
    """Concurrent calls are applied one by one, and each raises the revision by one."""
    await store.transact(record(declared(), arm()))
    calls = [record(metrics({"n": number})) for number in range(600)]
    outcomes = await asyncio.gather(*map(store.transact, calls))
    assert [outcome.revision for outcome in outcomes] == list(range(2, 602))
    score = await store.score("x", "a", [(None, "n")])
    assert score is not None
    assert score.entry.value == 599


def _mixed_calls() -> list[Any]:
    """Makes valid and rejected calls on two experiments."""
    rng = Random(3)
    calls: list[Any] = [record(declared(), arm()), record(declared(), arm(), experiment="y")]
    for number in range(300):
        experiment = rng.choice("xy")
        good = row("val", rng.randrange(20), metrics={"acc": rng.random()})
        match rng.randrange(6):
            case 0:
                calls.append(record(good, row("v", name="nobody"), experiment=experiment))
            case 1:
                calls.append(record(good, experiment=experiment, writer="w", first=900))
            case 2:
                calls.append(record(started("a", "A", 3 - number), experiment=experiment))
            case 3:
                calls.append(delete_arm("nobody", experiment))
            case _:
                calls.append(record(good, metrics({"loss": number}), experiment=experiment))
    calls += [delete_experiment("y"), record(row("val"), experiment="y")]
    return calls


async def test_refused_calls_leave_their_neighbours_alone(
    place: Place, new_place: Callable[[], Place]
) -> None:
    """Concurrent calls return and store the same as the same calls one after the other."""
    async with opened(place) as store:
        at_once = await asyncio.gather(*(_outcome(store, call) for call in _mixed_calls()))
        dump = place.dump()
    other = new_place()
    async with opened(other) as store:
        one_by_one = [await _outcome(store, call) for call in _mixed_calls()]
        assert other.dump() == dump
    assert at_once == one_by_one
    reasons = {outcome for outcome in at_once if isinstance(outcome, str)}
    assert reasons == {"ARM_NOT_FOUND", "SEQUENCE_GAP", "STALE_ATTEMPT", "EXPERIMENT_NOT_FOUND"}


@pytest.mark.parametrize("broken", [BrokenBefore, BrokenAfter])
async def test_a_defect_in_one_call_is_its_own(
    store: Store, place: Place, broken: type[RecordCall]
) -> None:
    """A call with a defect raises its error and changes nothing. The other calls are applied."""
    await store.transact(record(declared(), arm()))
    bad = record(row("bad", metrics={"acc": 1}), kind=broken)
    calls = [record(row("val", n)) for n in range(20)]
    outcomes = await asyncio.gather(
        *(_outcome(store, call) for call in [*calls[:10], bad, *calls[10:]])
    )
    assert outcomes.pop(10) is ZeroDivisionError
    assert [outcome.revision for outcome in outcomes] == list(range(2, 22))  # type: ignore[attr-defined]
    page = await store.evals("x", "a", -1, _PAGE, EvalFilter())
    assert [EvalResult.FromString(row).step for row in page.items] == list(range(20))
    assert "bad" not in repr(place.dump())


async def test_callers_who_give_up_harm_nobody(store: Store) -> None:
    """A cancelled call is applied completely or not at all. The other callers get their results."""
    await store.transact(record(declared(), arm()))
    tasks = [asyncio.create_task(store.transact(record(row("val", n)))) for n in range(100)]
    gone = set()
    for number, task in enumerate(tasks):
        if number % 3 == 0 and task.cancel():
            gone.add(number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    revision = (await store.transact(record(row("last")))).revision
    page = await store.evals("x", "a", -1, _PAGE, EvalFilter())
    steps = {EvalResult.FromString(row).step for row in page.items[:-1]}
    answered = {n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)}
    assert gone
    assert answered == set(range(100)) - gone
    assert answered <= steps
    assert revision == len(steps) + 2


async def test_closing_finishes_the_calls_that_wait(place: Place) -> None:
    """When a store closes, waiting calls are applied. Later calls get SHUTTING_DOWN."""
    store = place.store()
    await store.open()
    await store.transact(record(declared(), arm()))
    tasks = [asyncio.create_task(store.transact(record(row("val", n)))) for n in range(400)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    assert await _outcome(store, record(row("late"))) == "SHUTTING_DOWN"
    outcomes = await asyncio.gather(*tasks)
    await closing
    assert [outcome.revision for outcome in outcomes] == list(range(2, 402))
    async with opened(place) as store:
        assert (await store.experiment("x")).revision == 401


_DOUBLES = {
    "nan": b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
    "negative nan": b"\x00\x00\x00\x00\x00\x00\xf8\xff",
    "nan with a payload": b"\x01\x02\x03\x04\x05\x06\xf8\x7f",
    "-0.0": b"\x00\x00\x00\x00\x00\x00\x00\x80",
    "0.0": b"\x00\x00\x00\x00\x00\x00\x00\x00",
    "inf": b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    "-inf": b"\x00\x00\x00\x00\x00\x00\xf0\xff",
    "smallest": b"\x01\x00\x00\x00\x00\x00\x00\x00",
    "greatest": b"\xff\xff\xff\xff\xff\xff\xef\x7f",
}


async def test_doubles_come_back_bit_by_bit(place: Place) -> None:
    """NaN of every kind, both zeros and both infinities are stored as they are."""
    values = {key: struct.unpack("<d", bits)[0] for key, bits in _DOUBLES.items()}
    async with opened(place) as store:
        await store.transact(record(declared(), arm(metrics=values)))
        await store.transact(record(row("val", metrics=values)))
    async with opened(place) as store:
        for name in ("val", None):
            for key, bits in _DOUBLES.items():
                score = await store.score("x", "a", [(name, key)])
                assert score is not None
                assert struct.pack("<d", score.entry.value) == bits, key
        found = EvalResult.FromString(await store.eval("x", "a", "val", None) or b"").metrics
        assert {key: struct.pack("<d", found[key]) for key in found} == _DOUBLES


async def test_integers_keep_their_64_bits(store: Store) -> None:
    """Steps at both ends of int64 identify separate rows, and orders of attempts are exact."""
    least, most, order = -(2**63), 2**63 - 1, 1_700_000_000_001
    await store.transact(record(declared(), started("a", "A", least), started("a", "B", order)))
    await store.transact(record(row("val", least), row("val", most), row("val", 2**53 + 1)))
    for step in (least, most, 2**53 + 1):
        found = EvalResult.FromString(await store.eval("x", "a", "val", step) or b"")
        assert found.step == step
    assert await store.eval("x", "a", "val", 2**53) is None
    view, _ = await store.arm("x", "a", _PAGE)
    assert (view.row.attempt_id, view.row.attempt_order) == ("B", order)


async def test_names_compare_as_bytes(store: Store) -> None:
    """Names differ by case, accents and trailing spaces, and are sorted by their bytes."""
    names = ["Z", "a", "a ", "a%", "aa", "é", "e\u0301", "\uffff", "\U00010000"]
    for name in reversed(names):
        await store.transact(record(declared(hypothesis=name), arm(name), experiment=name))
    found = await store.experiments("", _PAGE, ExperimentFilter(name_prefix=""))
    assert [row.name for row in found.items] == sorted(names, key=str.encode)
    for prefix, expected in {
        "a": ["a", "a ", "a%", "aa"],
        "a%": ["a%"],
        "e": ["e\u0301"],
        "é": ["é"],
        "A": [],
        "\uffff": ["\uffff"],
        "\U00010000": ["\U00010000"],
    }.items():
        found = await store.experiments("", _PAGE, ExperimentFilter(name_prefix=prefix))
        assert [row.name for row in found.items] == expected, prefix
    with pytest.raises(podium.NotFoundError):
        await store.arm("a", "a ", _PAGE)


async def test_what_does_not_exist_is_not_found(store: Store) -> None:
    """Unknown experiments and arms raise their own errors. A missing eval or score is None."""
    await store.transact(record(declared(), arm()))
    await store.transact(record(declared(), experiment="gone"))
    await store.transact(delete_experiment("gone"))
    for experiment, name, reason in (
        ("nowhere", "a", "EXPERIMENT_NOT_FOUND"),
        ("gone", "a", "EXPERIMENT_NOT_FOUND"),
        ("x", "nobody", "ARM_NOT_FOUND"),
    ):
        for read in (
            store.eval(experiment, name, "val", None),
            store.eval(experiment, name, "val", 3),
            store.score(experiment, name, [(None, "k")]),
            store.score(experiment, name, [("v", "k"), (None, "v.k")]),
            store.arm(experiment, name, _PAGE),
            store.evals(experiment, name, -1, _PAGE, EvalFilter()),
        ):
            with pytest.raises(podium.NotFoundError) as raised:
                await read
            assert raised.value.reason == reason
    assert await store.eval("x", "a", "val", None) is None
    assert await store.score("x", "a", [("v", "k"), (None, "v.k")]) is None
    for experiment in ("nowhere", "gone"):
        with pytest.raises(podium.NotFoundError):
            await store.experiment(experiment)
        with pytest.raises(podium.NotFoundError):
            await store.arms(experiment, -1, _PAGE, ArmFilter())


class _Heard:
    """A listener that remembers its calls."""

    watched: Collection[str] = ()

    def __init__(self) -> None:
        self.reported: list[tuple[str, set[Subject]]] = []

    def changing(self, subjects: Collection[Subject]) -> None:
        self.reported.append(("changing", set(subjects)))

    def changed(self, subjects: Collection[Subject]) -> None:
        self.reported.append(("changed", set(subjects)))


async def test_listeners_hear_of_every_change_before_and_after(store: Store) -> None:
    """Listeners get the changed arms, or a deleted experiment, before and after each commit."""
    heard = _Heard()
    store.listen(heard)
    await store.transact(record(declared(), arm("a"), arm("b")))
    await store.transact(record(row("val", name="b")))
    await store.transact(record(row("val", name="b")))
    await store.transact(delete_arm("a"))
    await store.transact(delete_experiment())
    a, b, everything = ("x", "a"), ("x", "b"), ("x", None)
    expected: list[set[Subject]] = [{a, b}, {b}, set(), {a}, {everything}]
    reported = [("changing", subjects) for subjects in expected]
    assert heard.reported[::2] == reported
    assert heard.reported[1::2] == [("changed", subjects) for _, subjects in reported]


async def test_reads_see_what_a_commit_left_also_when_it_failed(store: Store) -> None:
    """Reads between, during and after commits never see an older state than an earlier read."""
    await store.transact(record(declared(), arm()))
    seen = []
    for step in range(8):
        write = asyncio.create_task(store.transact(record(row("val", step))))
        while not write.done():
            found = await store.eval("x", "a", "val", None)
            seen.append(-1 if found is None else EvalResult.FromString(found).step)
            await asyncio.sleep(0)
        found = await store.eval("x", "a", "val", None)
        assert found is not None
        assert EvalResult.FromString(found).step == step
        with pytest.raises(PodiumError):
            await store.transact(record(row("val", name="unknown")))
    assert seen == sorted(seen)
