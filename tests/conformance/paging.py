"""Tests answers of several pages while metrics are recorded.

The cases are in `busy_rank.json` and `scores_pages.json`.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import grpc
import podium
from google.protobuf.json_format import ParseDict
from podium import events
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.results_service_pb2 import RankRequest, ScoresRequest

from tests.client.client.broken import grpc_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from podium.v1.event_pb2 import Event

    from tests.conformance.judging import Session

__all__ = ["rank", "scores"]

_SERVICE = "/podium.v1.ResultsService/"
_CALL_EVENTS = 1_000
_TRAINING = "training"


def rank(case: dict[str, Any], session: Session) -> None:
    """Makes the client rank arms through a proxy that records a metric before each page."""
    experiment = session.new_experiment()
    names = [f"arm{place}" for place in range(case["completedArms"])]
    arms = [_arm(name, {"acc": float(-place)}) for place, name in enumerate(names)]
    _record(session, experiment, arms)
    request = ParseDict({"experiment": experiment, **case["request"]}, RankRequest())
    arm = case["recordsBeforeEachPage"]
    with _recording_first(session, experiment, arm, "Rank") as address:
        try:
            found: Any = session.runner.ask("client", "Rank", request, address=address)
        except podium.PodiumError as error:
            if error.code != case.get("refused"):
                raise
            return
    ranked = [arm.arm for arm in found.arms]
    if ranked != names[: case.get("ranked", 0)]:
        raise AssertionError(f"{len(ranked)} arms, {len(set(ranked))} of them different")


def scores(case: dict[str, Any], session: Session) -> None:
    """Makes the client get scores.

    Unless the case has `isOneState`, a proxy records a metric before each page.
    """
    experiment = session.new_experiment()
    names = [f"arm{place}" for place in range(case["arms"])]
    metrics = [f"m{number}" for number in range(case["metrics"])]
    present = [number % 3 != 0 for number in range(len(metrics))]
    for place, name in enumerate(names):
        values = {m: 1_000.0 * place + n for n, m in enumerate(metrics) if present[n]}
        _record(session, experiment, [_arm(name, values)])
    request = ScoresRequest(experiment=experiment, metrics=metrics, statuses=[ARM_STATUS_COMPLETED])
    if case["isOneState"]:
        found = session.client("Scores", request)
    else:
        with _recording_first(session, experiment, names[0], "Scores") as address:
            found = session.runner.ask("client", "Scores", request, address=address)
    assert [arm.arm for arm in found.arms] == names, found.arms
    assert [column.metric for column in found.columns] == metrics
    for number, column in enumerate(found.columns):
        wanted = [1_000.0 * place + number if present[number] else 0 for place in range(len(names))]
        assert list(column.values) == wanted, column
        assert list(column.present) == [present[number]] * len(names), column
    assert bool(found.revision) == case["isOneState"], found.revision


def _arm(name: str, metrics: dict[str, float]) -> Event:
    arm = podium.ArmResult(name, podium.RunConfig(name), "completed", metrics=metrics)
    return events.arm_recorded(arm)


def _record(session: Session, experiment: str, arms: Iterable[Event]) -> None:
    """Records arms, and starts another one, which stays running."""
    attempt = podium.Attempt(_TRAINING, 1)
    started = events.arm_started(_TRAINING, podium.RunConfig(_TRAINING), attempt)
    recorded = [events.experiment_declared(success_metric="acc"), *arms, started]
    with podium.Client(session.address) as client:
        for place in range(0, len(recorded), _CALL_EVENTS):
            client.record(experiment, recorded[place : place + _CALL_EVENTS])


@contextmanager
def _recording_first(session: Session, experiment: str, arm: str, call: str) -> Iterator[str]:
    """Yields the address of a proxy. Before it forwards a call, it records a metric of an arm.

    So each page shows another revision of the experiment, however fast the client is.
    """
    with (
        podium.Client(session.address) as client,
        grpc.insecure_channel(session.address) as channel,
    ):
        forward: Callable[..., bytes] = channel.unary_unary(_SERVICE + call)
        losses = count(1.0)

        def answer(request: bytes, _context: object) -> bytes:
            client.record(experiment, [events.metrics_recorded(arm, {"loss": next(losses)})])
            return forward(request, timeout=120)

        with grpc_server(**{call: answer}) as address:
            yield address
