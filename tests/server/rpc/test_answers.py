"""Tests of how the server converts stored rows to responses, and requests to filters."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from podium._limits.limits import Limits
from podium.v1.arm_result_pb2 import ArmResult, ArmSummary
from podium.v1.config_filter_pb2 import ConfigFilter, NumberRange
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import ArmAnnotated, Event
from podium.v1.experiment_pb2 import ExperimentStatus
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetArmRequest, ListArmsRequest, RankRequest
from podium_server.api import answers
from podium_server.api.filters import arm_filter
from podium_server.store.contract import Store
from podium_server.store.filters import ConfigCondition
from podium_server.store.open import open_store
from podium_server.store.rows import ExperimentRow, MetricRow
from podium_server.testing.calls import arm, declared, record

from tests.each import each
from tests.server.rpc.good_requests import good_requests
from tests.server.writes.ways import Direct
from tests.stores import store_url


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Yields an empty store."""
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    yield store
    await store.close()


async def _call(store: Store, method: str, request: Any) -> Any:
    return await Direct(store, Limits()).call(method, request)


@each(("micros", "expected"), [(0, (0, 0)), (1_500_001, (1, 500_001_000)), (-1, (-1, 999_999_000))])
def test_times_have_microseconds(micros: int, expected: tuple[int, int]) -> None:
    """A stored time in microseconds is the same time in seconds and nanoseconds."""
    seconds, nanos = expected
    assert answers._time(micros) == Timestamp(seconds=seconds, nanos=nanos)


@each(
    ("counts", "expected"),
    [
        ((0, 0, 0, 0, 0, 0), "RUNNING"),
        ((0, 0, 0, 0, 2, 0), "FAILED"),
        ((0, 0, 0, 0, 2, 1), "RUNNING"),
        ((0, 1, 0, 0, 2, 0), "RUNNING"),
        ((0, 0, 0, 0, 0, 2), "RUNNING"),
        ((0, 1, 1, 1, 1, 1), "COMPLETED"),
    ],
)
def test_the_status_of_an_experiment(counts: tuple[int, ...], expected: str) -> None:
    """An experiment with a completed arm is completed. If all arms have failed, it has failed.

    In all other cases it is running.
    """
    row = ExperimentRow(1, "x")
    row.counts = counts
    status = ExperimentStatus.Name(answers.experiment(row).status)
    assert status == f"EXPERIMENT_STATUS_{expected}"


@each("least", [None, -1.0, 0.0, 1.0])
@each("most", [None, -1.0, 0.0, 1.0])
def test_a_range_has_the_given_limits(least: float | None, most: float | None) -> None:
    """A range in a filter keeps a limit of 0. A limit that is not set is infinite."""
    given = ConfigFilter(path="lr", range=NumberRange(min=least, max=most))
    expected = (-math.inf if least is None else least, math.inf if most is None else most)
    shown = arm_filter(ListArmsRequest(config=[given]))
    assert shown.config == (ConfigCondition("lr", expected),)


async def test_a_list_shows_what_an_arm_has(store: Store) -> None:
    """A listed arm has the same values as the arm itself, in all fields that both have."""
    recorded: Any = next(each for method, each in good_requests() if _is_whole(method, each))
    await store.transact(record(declared(), experiment=recorded.experiment))
    await _call(store, "Record", recorded)
    event = next(event for event in recorded.events if event.HasField("arm_recorded"))
    name = event.arm_recorded.arm_result.name
    note = Event(arm_annotated=ArmAnnotated(arm=name, notes="n", add_tags=["t2"]))
    await _call(store, "Record", RecordRequest(experiment=recorded.experiment, events=[note]))
    got = await _call(store, "GetArm", GetArmRequest(experiment=recorded.experiment, arm=name))
    listed = await _call(store, "ListArms", ListArmsRequest(experiment=recorded.experiment))
    [summary] = [each for each in listed.arms if each.name == name]
    common = {field.name for field in ArmSummary.DESCRIPTOR.fields} & {
        field.name for field in ArmResult.DESCRIPTOR.fields
    }
    shown, expected = (
        ArmSummary(**{field: getattr(each, field) for field in common}).SerializeToString(
            deterministic=True
        )
        for each in (summary, got.arm_result)
    )
    assert shown == expected
    assert got.arm_result.annotations.notes == "n"
    assert {"error", "group_name", "metrics", "eval_metrics", "train_seconds"} <= common


def _is_whole(method: str, request: Any) -> bool:
    return method == "Record" and any(each.HasField("arm_recorded") for each in request.events)


async def test_a_kept_field_names_its_event(store: Store) -> None:
    """The response to Record names an event that tried to change a declared field.

    It also names this field.
    """
    events = [declared(hypothesis="h"), declared(), declared(hypothesis="other")]
    found = await _call(store, "Record", RecordRequest(experiment="x", events=events))
    assert [(kept.event_index, kept.path) for kept in found.kept_fields] == [(2, "hypothesis")]


@pytest.mark.parametrize("by_group", [False, True])
async def test_equal_scores_share_a_rank_across_pages(store: Store, *, by_group: bool) -> None:
    """Equal scores have the same rank, even if they are on different pages.

    A full last page has no page token.
    """
    arms = [arm(f"a{n}", status=3, metrics={"m": m}) for n, m in enumerate((1, 2, 2, 1, 0, 2))]
    await store.transact(record(declared(success_metric="m"), *arms))
    for size in (1, 2, 3, 6):
        request, ranks, pages = (
            RankRequest(experiment="x", page_size=size, by_group=by_group),
            [],
            0,
        )
        while pages == 0 or request.page_token:
            found = await _call(store, "Rank", request)
            ranks += [entry.rank for entry in (found.groups if by_group else found.arms)]
            request.page_token, pages = found.next_page_token, pages + 1
        assert (ranks, pages) == ([1, 1, 1, 4, 4, 6], 6 // size)


@pytest.mark.parametrize(("eval_name", "expected"), [("", "k"), ("e", "e.k")])
def test_the_name_of_a_metric(eval_name: str, expected: str) -> None:
    """A listed metric has the name that `score` accepts."""
    assert answers.metric(MetricRow(eval_name, "k", {})).name == expected


async def test_an_arm_comes_with_one_page_of_rows(store: Store) -> None:
    """GetArm returns only the rows that fit on a page, and a page token for the others."""
    rows = [EvalResult(name=str(n), benchmark_id="b" * 200) for n in range(4)]
    await store.transact(record(declared(), arm("a", *rows)))
    request = GetArmRequest(experiment="x", arm="a")
    found: Any = await Direct(store, Limits(page_bytes=500)).call("GetArm", request)
    assert (len(found.arm_result.evals), bool(found.next_evals_page_token)) == (2, True)


@pytest.mark.parametrize("is_omitted", [False, True])
async def test_a_list_of_arms_without_their_configurations(
    store: Store, *, is_omitted: bool
) -> None:
    """A client can ask for a list of arms without their configurations."""
    await store.transact(record(declared(), arm("a")))
    request = ListArmsRequest(experiment="x", omit_run_config=is_omitted)
    found = await _call(store, "ListArms", request)
    assert [each.HasField("run_config") for each in found.arms] == [not is_omitted]
