"""The runner of the Python client: answers each request with the client's result."""

import asyncio
import json
import math
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import podium
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium import events, scoring
from podium._model import results
from podium._sender import FOREGROUND, Sender
from podium._wire import codec
from podium._wire.rankings import SCORED_ARM
from podium._wire.status import from_rpc_error
from podium._wire.values import maybe
from podium.curves import CurvePoint
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import RecordResponse
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import (
    EvalResponse,
    GetArmResponse,
    GetExperimentResponse,
    ListSeriesResponse,
    RankRequest,
    RankResponse,
    ScoresResponse,
    WatchRequest,
    WatchResponse,
)
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium.v1.series_pb2 import Series

from tests.messages import score_column_to_proto, score_response
from tests.server.ranking import vectors as rankings
from tests.server.writes.ways import METHODS

__all__ = ["main"]

_ROW = (
    "name",
    "metrics",
    "step",
    "tags",
    "breakdowns",
    "benchmark_id",
    "eval_seconds",
    "model_ref",
)


def main() -> None:
    """Answers one request after the other, until the input ends."""
    with tempfile.TemporaryDirectory() as outbox, ExitStack() as recorders:
        _recorders.append((Path(outbox), recorders))
        _answer_all()


def _answer_all() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if asked["call"] == "Watch":
                answer["responses"] = []
                for update in _watch(asked):
                    answer["responses"].append(_encoded(update))
            else:
                answer["response"] = _encoded(_respond(asked))
        except podium.PodiumError as error:
            answer["error"] = _said(error)
        print(json.dumps(answer), flush=True)


def _encoded(message: Message) -> str:
    return b64encode(message.SerializeToString()).decode()


def _said(error: podium.PodiumError) -> dict[str, Any]:
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "refusals": list(map(asdict, error.refusals)),
    }


def _respond(asked: dict[str, Any]) -> Message:
    request: Message = GetMessageClass(METHODS[asked["call"]].input_type)()
    request.ParseFromString(b64decode(asked["request"]))
    match asked["way"]:
        case "pure":
            arm = ArmResult.FromString(b64decode(asked["arm"]))
            return _PURE[asked["call"]](codec.arm_result_from_proto(arm), request)
        case "client":
            client = _client(asked["address"], asked.get("timeout_ms", 10_000))
            return _CLIENT[asked["call"]](client, request)
        case "live":
            return _ask_live(_client(asked["address"]), request)
        case "attempt":
            return _record_attempt(asked["address"], request)
    return _stub(asked["address"], asked["call"], request)


@cache
def _client(address: str, timeout_ms: int = 10_000) -> podium.Client:
    return podium.Client(address, read_timeout=timeout_ms / 1_000)


@cache
def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address)


def _stub(address: str, call: str, request: Message) -> Message:
    stubs = ResultsServiceStub(_channel(address)), RecordingServiceStub(_channel(address))
    stub = next(stub for stub in stubs if hasattr(stub, call))
    try:
        response: Message = getattr(stub, call)(request, timeout=120)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None
    return response


def _row(row: results.EvalResult | None) -> EvalResponse:
    return EvalResponse(eval_result=None if row is None else codec.eval_result_to_proto(row))


def _whole(arm: results.ArmResult) -> GetArmResponse:
    """Returns an arm as the client shows it, with the results of its primary eval."""
    message = codec.arm_result_to_proto(arm)
    message.eval_metrics.update(arm.eval_metrics)
    for key, value in codec.values_to_proto(arm.eval_breakdowns).items():
        message.eval_breakdowns[key].CopyFrom(value)
    if arm.eval_seconds is not None:
        message.eval_seconds = arm.eval_seconds
    return GetArmResponse(arm_result=message)


def _step(request: Any) -> int | None:
    return request.step if request.HasField("step") else None


def _experiment(client: podium.Client, request: Any) -> podium.ExperimentHandle:
    return client.experiment(request.experiment)


def _arm(client: podium.Client, request: Any) -> podium.ArmHandle:
    return _experiment(client, request).arm(request.arm)


def _rank(client: podium.Client, request: Any) -> Message:
    if request.min_members and not request.by_group:
        return _stub(client.address, "Rank", request)  # The client has no way to ask that.
    experiment = _experiment(client, request)
    rank = experiment.rank_groups if request.by_group else experiment.rank
    metric = request.metric if request.HasField("metric") else None
    found: RankResponse = rankings.response_of(rank(metric, **rankings.arguments_of(request)))
    return found


def _ask_live(client: podium.Client, request: Any) -> Message:
    """Returns the answer that the client computes from an experiment in its memory."""
    with _experiment(client, request).follow(with_series=True) as live:
        state = live.state
    if isinstance(request, RankRequest):
        metric = request.metric if request.HasField("metric") else None
        ranked: RankResponse = rankings.response_of(
            state.rank(metric, **rankings.arguments_of(request))
        )
        return ranked
    [key] = request.keys
    series = [
        Series(key=key, steps=[at.step for at in curve.points], values=map(_value, curve.points))
        for curve in state.curve(key).curves
        if curve.name == request.arm
    ]
    return ListSeriesResponse(series=series)


def _value(point: CurvePoint) -> float:
    """Returns the value of an arm's curve at a step, or NaN if the point has no mean."""
    return math.nan if point.statistics.mean is None else point.statistics.mean


def _scores(client: podium.Client, request: Any) -> ScoresResponse:
    status: Any = [codec.arm_status_from_proto(status) for status in request.statuses]
    found = _experiment(client, request).scores(list(request.metrics), status=status)
    return ScoresResponse(
        arms=map(SCORED_ARM.to_proto, found.arms),
        columns=map(score_column_to_proto, found.columns),
        revision=found.revision or 0,
    )


def _record(client: podium.Client, request: Any) -> RecordResponse:
    client.record(request.experiment, map(_as_given, request.events))
    return RecordResponse()


def _watch(asked: dict[str, Any]) -> Iterator[WatchResponse]:
    """Yields the updates of a watch. Stops after `take` updates if that is above 0."""
    request = WatchRequest.FromString(b64decode(asked["request"]))
    after = (
        podium.WatchMarker(request.after_revision, request.epoch)
        if request.HasField("after_revision")
        else None
    )
    updates: Any = _experiment(_client(asked["address"]), request).watch(
        after=after,
        status=[codec.arm_status_from_proto(status) for status in request.statuses],
        with_evals=not request.without_evals,
        with_breakdowns=not request.without_breakdowns,
        with_series=list(request.series_keys) or request.with_series,
        **_set_fields(request, "group_name", "name_prefix"),
    )
    with closing(updates):
        yield from map(update_message, islice(updates, asked["take"] or None))


def update_message(update: podium.WatchUpdate) -> WatchResponse:
    """Converts an update back to the message that it was read from."""
    return WatchResponse(
        reset=update.is_reset,
        experiment=maybe(codec.experiment_to_proto, update.experiment),
        removals=map(codec.WATCH_REMOVAL.to_proto, update.removals),
        arms=map(codec.WATCHED_ARM.to_proto, update.arms),
        evals=map(codec.WATCHED_EVAL.to_proto, update.evals),
        series=map(codec.WATCHED_SERIES.to_proto, update.series),
        marker=maybe(codec.WATCH_MARKER.to_proto, update.marker),
        deleted=update.is_deleted,
    )


_recorders: list[tuple[Path, ExitStack]] = []
"""The folder of the outbox, and the stack that closes the recorders of this process."""
_arms: dict[tuple[str, str], podium.ArmRecording] = {}
"""The newest attempt of each arm, by experiment and name."""


@cache
def _recorder(address: str, experiment: str) -> podium.ExperimentRecording:
    outbox, recorders = _recorders[0]
    return recorders.enter_context(
        podium.record(experiment, address=address, outbox=outbox, offline=True)
    )


def _record_attempt(address: str, request: Any) -> RecordResponse:
    """Records events through the handle of the newest attempt, and delivers them."""
    recorder = _recorder(address, request.experiment)
    for event in request.events:
        match event.WhichOneof("kind"):
            case "arm_started":
                arm = _start(recorder, event.arm_started)
                _arms[request.experiment, arm.name] = arm
            case "metrics_recorded":
                given = event.metrics_recorded
                arm = _arms[request.experiment, given.arm]
                arm.log(dict(given.metrics), step=_step(given))
            case "eval_recorded":
                arm = _arms[request.experiment, event.eval_recorded.arm]
                row = codec.eval_result_from_proto(event.eval_recorded.eval_result)
                arm.log_eval(**{name: getattr(row, name) for name in _ROW})
            case "arm_finished":
                given = event.arm_finished
                arm = _arms[request.experiment, given.arm]
                arm.finish(codec.arm_status_from_proto(given.status), **_end(given))
    asyncio.run(_deliver(address, recorder))
    return RecordResponse()


async def _deliver(address: str, recorder: podium.ExperimentRecording) -> None:
    """Delivers the logged events in this process, as `podium sync` does."""
    assert recorder.outbox
    async with podium.AsyncClient(address, retry=False) as client:
        # A busy machine may make no progress for seconds.
        rules = replace(FOREGROUND, patience_seconds=100)
        sender = Sender([recorder.outbox], client, rules)
        await sender.run()
    if sender.streams.unsent or sender.tallies[recorder.outbox].rejected:
        raise podium.UnavailableError(f"not delivered: {recorder.flush(0)}")


def _start(recorder: podium.ExperimentRecording, given: Any) -> podium.ArmRecording:
    is_resumed = given.WhichOneof("mode") == "resume_step"
    return recorder.start_arm(
        codec.run_config_from_proto(given.run_config),
        name=given.arm or None,
        attempt_id=given.attempt.id or None,
        order=given.attempt.order or None,
        resume_step=given.resume_step if is_resumed else None,
        restart=given.restart,
        **_set_fields(given, "group_id", "group_name", "run_id"),
    )


def _end(given: Any) -> dict[str, Any]:
    end = _set_fields(given, "error", "train_seconds")
    if given.HasField("run_result"):
        end["run_result"] = codec.arm_result_from_proto(
            ArmResult(run_result=given.run_result)
        ).run_result
    return end


def _set_fields(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _as_given(event: Event) -> Event:
    """Returns an event whose arm was converted to the client's class and back."""
    if not event.HasField("arm_recorded"):
        return event
    arm = codec.arm_result_from_proto(event.arm_recorded.arm_result)
    arm.eval_metrics = dict(event.arm_recorded.arm_result.eval_metrics)
    return events.arm_recorded(arm)


_PURE: dict[str, Callable[[results.ArmResult, Any], Message]] = {
    "Eval": lambda arm, request: _row(arm.eval(request.name, step=_step(request))),
    "Score": lambda arm, request: score_response(scoring.score(arm, request.metric)),
    "GetArm": lambda arm, _: _whole(arm),
}

_CLIENT: dict[str, Callable[[podium.Client, Any], Message]] = {
    "Eval": lambda client, request: _row(
        _arm(client, request).eval(request.name, step=_step(request))
    ),
    "Score": lambda client, request: score_response(
        _arm(client, request).find_score(request.metric)
    ),
    "GetArm": lambda client, request: _whole(_arm(client, request).get()),
    "GetExperiment": lambda client, request: GetExperimentResponse(
        experiment=codec.experiment_to_proto(_experiment(client, request).get())
    ),
    "Rank": _rank,
    "Scores": _scores,
    "Record": _record,
}

if __name__ == "__main__":
    main()
