"""Tests of rankings against the vectors, for arms in memory and for arms on a server."""

import struct
from collections.abc import Iterator
from itertools import count

import grpc
import podium
import pytest
from google.protobuf.json_format import ParseDict
from podium import ranking, scoring
from podium._wire import codec
from podium._wire.status import from_rpc_error
from podium.v1.experiment_pb2 import Experiment
from podium.v1.results_service_pb2 import RankRequest, RankResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.testing import RunningServer, running_server

from tests.server.ranking.vectors import (
    CASE_KEYS,
    CONCLUSION_KEYS,
    RANK_KEYS,
    Case,
    arguments_of,
    arms_of,
    cases,
    hold,
    record,
    response_of,
)

_NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Yields a server that the cases share. Each case has an experiment of its own."""
    with running_server() as server:
        yield server


def _experiment(case: Case) -> Experiment:
    return ParseDict(case["experiment"], Experiment())


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_arms_at_hand(case: Case) -> None:
    """For arms in memory, the rankings and the conclusion equal those of the vector."""
    arms = [codec.arm_result_from_proto(arm) for arm in arms_of(case)]
    experiment = codec.experiment_from_proto(_experiment(case))
    for asked in case["ranks"]:
        request = ParseDict(asked["request"], RankRequest())
        if "response" in asked:
            hold(asked["response"], _ranked(arms, experiment, request))
    if "conclusion" in case:
        metric, direction = experiment.success_metric, experiment.direction
        best = scoring.best_arm(arms, metric, direction)
        assert scoring.conclusion(arms, metric, direction) == case["conclusion"]["text"]
        assert (best and best[0].name) == case["conclusion"]["bestArm"]


def _ranked(
    arms: list[podium.ArmResult], experiment: podium.Experiment, request: RankRequest
) -> RankResponse:
    """Returns the ranking that `podium.ranking` computes for a request, as a message."""
    metric = request.metric or experiment.success_metric or ""
    asked = arguments_of(request)
    asked["direction"] = asked["direction"] or experiment.direction
    asked["status"] = asked["status"] or "completed"
    found = (ranking.rank_groups if request.by_group else ranking.rank)(arms, metric, **asked)
    return response_of(found)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_over_the_wire(case: Case, server: RunningServer) -> None:
    """The rankings, best arm and conclusion of a server equal those of the vector."""
    name = f"case{next(_NUMBERS)}"
    with podium.Client(server.address) as client, grpc.insecure_channel(server.address) as channel:
        record(client, name, case)
        stub = ResultsServiceStub(channel)
        for asked in case["ranks"]:
            request = ParseDict({"experiment": name, **asked["request"]}, RankRequest())
            if "error" in asked:
                assert _refusal(stub, request) == asked["error"]
            else:
                hold(asked["response"], stub.Rank(request))
        if "conclusion" in case:
            _hold_conclusion(client.experiment(name), case["conclusion"])


def _refusal(stub: ResultsServiceStub, request: RankRequest) -> dict[str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Rank(request)
    error = from_rpc_error(raised.value)
    return {"code": error.code, "reason": error.reason}


def _hold_conclusion(experiment: podium.ExperimentHandle, expected: Case) -> None:
    found = experiment.result()
    assert f"EXPERIMENT_STATUS_{found.status.upper()}" == expected["status"]
    assert found.conclusion == expected["text"]
    assert found.best_arm == expected["bestArm"]
    wanted = expected["bestScore"]
    assert (found.best_score is None) == (wanted is None)
    if found.best_score is not None:
        assert struct.pack("<d", found.best_score) == struct.pack("<d", float(wanted))
    experiment.conclude()
    assert experiment.get().conclusion == expected["text"]


def test_names_of_vectors_are_unique() -> None:
    """Each case has a name of its own, so a failure identifies its case."""
    names = [case["name"] for case in cases()]
    assert len(names) == len(set(names)) >= 20


def test_vectors_have_no_key_that_nobody_reads() -> None:
    """A vector has no keys that the tests do not read, such as a misspelt one."""
    for case in cases():
        assert case.keys() <= CASE_KEYS
        assert case.get("conclusion", {}).keys() <= CONCLUSION_KEYS
        assert all(asked.keys() <= RANK_KEYS for asked in case["ranks"])
