"""Tests that rankings are right at each moment while eight writers record."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from threading import Event as Flag
from typing import Any, NamedTuple

import grpc
import podium
import pytest
from podium import events
from podium._wire import rankings
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import DeleteArmRequest, RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import RankRequest, RankResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.testing import running_server

from tests.server.ranking.holding import hold_arms, hold_groups, random_arms
from tests.server.writes import naive
from tests.server.writes.naive_state import Experiment
from tests.server.writes.plain import plain

_WRITERS, _READERS, _CALLS, _ARMS = 8, 2, 40, 30
_PAGE = 7
_COMPLETED = {"completed"}


class _Change(NamedTuple):
    """A call that changed the experiment, and the revision after it."""

    revision: int
    request: Any


def _random_event(rng: Random) -> Event:
    name = f"arm{rng.randrange(_ARMS)}"
    match rng.randrange(8):
        case 0 | 1:
            arm = next(arm for _ in range(99) for arm in random_arms(rng, most=3))
            arm.name = name
            return events.arm_recorded(arm, replace=True)
        case 2:
            config = podium.RunConfig(name)
            attempt = podium.Attempt(f"{rng.random()}", rng.randrange(10**9))
            return events.arm_started(name, config, attempt, restart=True, group_name="g")
        case 3:
            return events.metrics_recorded(name, {"acc": rng.choice((0.25, 0.5, float("nan")))})
        case 4 | 5:
            return events.arm_finished(name, rng.choice(("completed", "completed", "failed")))
        case _:
            scores = {"acc": rng.choice((0.0, 0.25, 0.5, 0.75, float("nan")))}
            row = podium.EvalResult("test", metrics=scores, step=rng.choice((None, 1, 2)))
            return events.eval_recorded(name, row)


def _write(address: str, seed: int, begin: Barrier) -> list[_Change]:
    """Records and deletes arms that other writers use, too. Returns the changes."""
    rng, changes = Random(seed), []  # noqa: S311 - the same calls every time
    with grpc.insecure_channel(address) as channel:
        stub = RecordingServiceStub(channel)
        begin.wait()
        for _ in range(_CALLS):
            try:
                if rng.random() < 0.05:
                    gone = DeleteArmRequest(experiment="e", arm=f"arm{rng.randrange(_ARMS)}")
                    changes.append(_Change(stub.DeleteArm(gone).revision, gone))
                    continue
                several = [_random_event(rng) for _ in range(rng.randrange(1, 3))]
                request = RecordRequest(experiment="e", events=several)
                answer = stub.Record(request)
            except grpc.RpcError:
                continue
            if answer.changed_events:
                changes.append(_Change(answer.revision, request))
    return changes


def _read(address: str, seed: int, begin: Barrier, done: Flag) -> list[RankResponse]:
    """Requests rankings of all kinds while the writers run, and returns them."""
    rng, found = Random(-seed), []  # noqa: S311 - the same questions every time
    with grpc.insecure_channel(address) as channel:
        stub = ResultsServiceStub(channel)
        begin.wait()
        while not done.is_set():
            request = RankRequest(
                experiment="e",
                metric=rng.choice(("test.acc", "acc")),
                direction=rng.choice((1, 2)),  # type: ignore[arg-type]
                by_group=rng.random() < 0.3,
                page_size=rng.choice((0, _PAGE)),
            )
            found += _whole(stub, request)
    return found


def _whole(stub: ResultsServiceStub, request: RankRequest) -> list[RankResponse]:
    """Returns the pages of one ranking as one response, or nothing if it changed meanwhile."""
    first = stub.Rank(request)
    request.page_token = first.next_page_token
    while request.page_token:
        page = stub.Rank(request)
        if page.ranking_revision != first.ranking_revision:
            return []
        first.arms.extend(page.arms)
        first.groups.extend(page.groups)
        request.page_token = page.next_page_token
    return [first]


@pytest.mark.slow
def test_each_ranking_is_that_of_its_revision() -> None:
    """While eight writers record, each ranking equals that of the naive rules at its revision."""
    with running_server() as server, podium.Client(server.address) as client:
        client.experiment("e").declare()
        changes, found = _all_at_once(server.address)
    assert [change.revision for change in changes] == list(range(2, len(changes) + 2))
    model = Experiment()
    naive.record(model, _declaration(), {})
    held, joined = 0, 0
    for change in [_Change(1, None), *changes]:
        if change.request is not None:
            _follow(model, change)
        arms = list(map(plain, model.arms))
        for ranking in found.get(change.revision, []):
            _hold(ranking, arms)
            held += 1
            joined += len(ranking.arms) > _PAGE
    assert held >= 40
    assert joined >= 3


def _all_at_once(address: str) -> tuple[list[_Change], dict[int, list[RankResponse]]]:
    """Runs all writers and readers. Returns the changes in order, and rankings by revision."""
    begin, done = Barrier(_WRITERS + _READERS), Flag()
    with ThreadPoolExecutor(_WRITERS + _READERS) as threads:
        readers = [threads.submit(_read, address, n, begin, done) for n in range(_READERS)]
        writers = [threads.submit(_write, address, n, begin) for n in range(_WRITERS)]
        reported = [change for writer in writers for change in writer.result()]
        changes = sorted(reported, key=lambda change: change.revision)
        done.set()
        found: dict[int, list[RankResponse]] = {}
        for ranking in (ranking for reader in readers for ranking in reader.result()):
            found.setdefault(ranking.revision, []).append(ranking)
    return changes, found


def _declaration() -> RecordRequest:
    return RecordRequest(experiment="e", events=[events.experiment_declared()])


def _follow(model: Experiment, change: _Change) -> None:
    """Applies a change to the naive model."""
    if isinstance(change.request, DeleteArmRequest):
        assert naive.delete_arm(model, change.request.arm, allow_missing=False) == change.revision
    else:
        assert naive.record(model, change.request, {}).revision == change.revision


def _hold(ranking: RankResponse, arms: list[podium.ArmResult]) -> None:
    if ranking.HasField("group_counts"):
        hold_groups(rankings.group_ranking_from_proto(ranking), arms, _COMPLETED)
    else:
        hold_arms(rankings.ranking_from_proto(ranking), arms, _COMPLETED)
