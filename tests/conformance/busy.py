"""Rankings that are read page by page while an arm records: `tests/vectors/busy_rank.json`."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import grpc
import podium
from google.protobuf.json_format import ParseDict
from podium import events
from podium.v1.results_service_pb2 import RankRequest

from tests.client.client.broken import grpc_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from podium.v1.event_pb2 import Event

    from tests.conformance.judging import Session

__all__ = ["hold"]

_RANK = "/podium.v1.ResultsService/Rank"
_CALL_EVENTS = 1_000


def hold(case: dict[str, Any], session: Session) -> None:
    """Has the client rank arms behind a server at which an arm records before each page.

    So every page shows another revision of the experiment, however fast the client is.
    """
    experiment = session.new_experiment()
    with (
        podium.Client(session.address) as client,
        grpc.insecure_channel(session.address) as channel,
    ):
        recorded = list(_recorded(case["completedArms"]))
        for place in range(0, len(recorded), _CALL_EVENTS):
            client.record(experiment, recorded[place : place + _CALL_EVENTS])
        answer = _recording_first(client, channel, experiment, case["recordsBeforeEachPage"])
        with grpc_server(Rank=answer) as address:
            request = ParseDict({"experiment": experiment, **case["request"]}, RankRequest())
            _hold(case, session, request, address)


def _hold(case: dict[str, Any], session: Session, request: RankRequest, address: str) -> None:
    try:
        found: Any = session.runner.ask("client", "Rank", request, address=address)
    except podium.PodiumError as error:
        if error.code != case.get("refused"):
            raise
        return
    ranked = [arm.arm for arm in found.arms]
    if ranked != [f"arm{place}" for place in range(case.get("ranked", 0))]:
        raise AssertionError(f"{len(ranked)} arms, {len(set(ranked))} of them different")


def _recorded(arms: int) -> Iterator[Event]:
    """Makes the events of so many completed arms, the best first, and of one that trains."""
    yield events.experiment_declared(success_metric="acc")
    for place in range(arms):
        config = podium.RunConfig(f"arm{place}")
        arm = podium.ArmResult(config.name, config, "completed", metrics={"acc": float(-place)})
        yield events.arm_recorded(arm)
    attempt = podium.Attempt("training", 1)
    yield events.arm_started("training", podium.RunConfig("training"), attempt)


def _recording_first(
    client: podium.Client, channel: grpc.Channel, experiment: str, arm: str
) -> Callable[[bytes, object], bytes]:
    rank: Callable[..., bytes] = channel.unary_unary(_RANK)
    losses = count(1.0)

    def answer(request: bytes, _context: object) -> bytes:
        client.record(experiment, [events.metrics_recorded(arm, {"loss": next(losses)})])
        return rank(request, timeout=30)

    return answer
