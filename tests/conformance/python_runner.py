"""The runner of the Python client: goes through a plan and reports each case.

python -m tests.conformance.python_runner PLAN
"""

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import podium
from google.protobuf.json_format import ParseDict
from podium import scoring
from podium._model import results
from podium._wire import codec
from podium._wire.status import from_rpc_error
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.results_service_pb2 import RankRequest, RankResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub

from tests.server.ranking import vectors as rankings
from tests.server.writes.vectors import run
from tests.server.writes.ways import Wire
from tests.unit.scoring.vectors import Case, arm_of, check, plain

__all__ = ["main"]

_NUMBERS = count(1)
_OUTPUT_ONLY: tuple[Any, ...] = ("experiment", "revision", "create_time", "update_time", "attempt")
_ROW_OUTPUT_ONLY: tuple[Any, ...] = ("revision", "event_time", "record_time")


class _Handle:
    """Asks the server."""

    def __init__(self, arm: podium.ArmHandle) -> None:
        self._arm = arm

    def eval(self, name: str, step: int | None) -> results.EvalResult | None:
        return self._arm.eval(name, step=step)

    def score(self, metric: str) -> scoring.Score | None:
        return self._arm.find_score(metric)

    def arm(self) -> results.ArmResult:
        return self._arm.get()


class _Local:
    """Asks the arm itself."""

    def __init__(self, arm: results.ArmResult) -> None:
        self._arm = arm

    def eval(self, name: str, step: int | None) -> results.EvalResult | None:
        return self._arm.eval(name, step=step)

    def score(self, metric: str) -> scoring.Score | None:
        return scoring.score(self._arm, metric)

    def arm(self) -> results.ArmResult:
        return self._arm


def main(plan: str) -> None:
    """Goes through a plan."""
    for entry in json.loads(Path(plan).read_text("utf-8")):
        if "exchange" in entry:
            case = f"{entry['experiment']}/{entry['arm']['name']}"
            _report("exchange", entry["exchange"], case, partial(_exchange, entry))
        else:
            _go_through(Path(entry["file"]), entry["address"])


def _go_through(file: Path, address: str) -> None:
    for case in json.loads(file.read_text("utf-8"))["cases"]:
        if file.name.startswith("reads"):
            _report(file.name, "pure", case["name"], partial(_read_locally, case))
            _report(file.name, "wire", case["name"], partial(_read, case, address))
        elif file.name.startswith("rank"):
            _report(file.name, "wire", case["name"], partial(_rank, case, address))
        else:
            _report(file.name, "wire", case["name"], partial(_write, case, address))


def _report(file: str, way: str, case: str, what: Callable[[], None]) -> None:
    try:
        what()
        detail = ""
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is reported
        detail = f"{type(error).__name__}: {error}"
    report = {"file": file, "way": way, "case": case, "ok": not detail, "detail": detail}
    print(json.dumps(report), flush=True)


def _read_locally(case: Case) -> None:
    check(case, _Local(codec.arm_result_from_proto(arm_of(case))))


def _read(case: Case, address: str) -> None:
    message = arm_of(case)
    with podium.Client(address) as client:
        experiment = client.experiment(_new_experiment())
        experiment.declare()
        try:
            experiment.record_arm(_as_given(message))
        except podium.PodiumError as error:
            _expect(error.reason, case.get("refused"))
            return
        _expect(None, case.get("refused"))
        arm = experiment.arm(message.name)
        check(case, _Handle(arm))
        _expect([plain(row) for row in _bare(arm.get()).evals], _distinct(message))


def _distinct(arm: ArmResult) -> list[Any]:
    """The rows of an arm without those that repeat an earlier one's identity."""
    rows: dict[tuple[str, int | None], Any] = {}
    for row in arm.evals:
        rows.setdefault((row.name, row.step if row.HasField("step") else None), plain(row))
    return list(rows.values())


def _rank(case: dict[str, Any], address: str) -> None:
    with podium.Client(address) as client:
        name = _new_experiment()
        rankings.record(client, name, case)
        experiment = client.experiment(name)
        for asked in case["ranks"]:
            _ask_rank(experiment, asked, partial(_rank_by_stub, address, name))
        if "conclusion" in case:
            expected = case["conclusion"]["status"].removeprefix("EXPERIMENT_STATUS_")
            _expect(experiment.get().status.upper(), expected)


def _ask_rank(
    experiment: podium.ExperimentHandle,
    asked: dict[str, Any],
    by_stub: Callable[[RankRequest], RankResponse],
) -> None:
    request = ParseDict(asked["request"], RankRequest())
    rank = experiment.rank_groups if request.by_group else experiment.rank
    metric = request.metric if request.HasField("metric") else None
    try:
        if request.min_members and not request.by_group:
            found = by_stub(request)  # The client has no way to ask that.
        else:
            found = rankings.response_of(rank(metric, **rankings.arguments_of(request)))
    except podium.PodiumError as error:
        _expect({"code": error.code, "reason": error.reason}, asked.get("error"))
        return
    rankings.hold(asked["response"], found)


def _rank_by_stub(address: str, name: str, request: RankRequest) -> RankResponse:
    request.experiment = name
    with grpc.insecure_channel(address) as channel:
        try:
            response: RankResponse = ResultsServiceStub(channel).Rank(request, timeout=30)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
    return response


def _write(case: Case, address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        asyncio.run(run(case, Wire(channel), _new_experiment()))


def _exchange(entry: dict[str, Any]) -> None:
    message = ParseDict(entry["arm"], ArmResult())
    with podium.Client(entry["address"]) as client:
        experiment = client.experiment(entry["experiment"])
        if entry["exchange"] == "write":
            experiment.declare()
            experiment.record_arm(_as_given(message))
        else:
            _expect(plain(_bare(experiment.arm(message.name).get())), plain(message))


def _as_given(message: ArmResult) -> results.ArmResult:
    """The arm of a message, with the mirrors that it gives and no others."""
    arm = codec.arm_result_from_proto(message)
    arm.eval_metrics = dict(message.eval_metrics)
    return arm


def _bare(arm: results.ArmResult) -> ArmResult:
    """An arm's message as it was given, without what the server adds."""
    message = codec.arm_result_to_proto(arm)
    message.eval_metrics.update(arm.eval_metrics)
    for key, value in codec.values_to_proto(arm.eval_breakdowns).items():
        message.eval_breakdowns[key].CopyFrom(value)
    if arm.eval_seconds is not None:
        message.eval_seconds = arm.eval_seconds
    for field in _OUTPUT_ONLY:
        message.ClearField(field)
    for row in message.evals:
        for field in _ROW_OUTPUT_ONLY:
            row.ClearField(field)
    return message


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


def _new_experiment() -> str:
    return f"conformance/python/{next(_NUMBERS)}"


if __name__ == "__main__":
    main(sys.argv[1])
