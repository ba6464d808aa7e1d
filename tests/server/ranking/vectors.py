"""Reads the vectors in `tests/vectors/rank*.json`, and compares rankings with them."""

import json
import math
from pathlib import Path
from typing import Any

import podium
from google.protobuf.json_format import ParseDict
from podium._wire import codec, rankings
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.event_pb2 import ArmRecorded, Event, ExperimentDeclared
from podium.v1.ranking_pb2 import ScoreStatistics
from podium.v1.results_service_pb2 import RankRequest, RankResponse

from tests.server.writes.vectors import check

__all__ = [
    "CASE_KEYS",
    "CONCLUSION_KEYS",
    "RANK_KEYS",
    "Case",
    "arguments_of",
    "arms_of",
    "cases",
    "hold",
    "record",
    "response_of",
]

Case = dict[str, Any]

CASE_KEYS = {"name", "experiment", "arms", "ranks", "conclusion"}
RANK_KEYS = {"request", "response", "error"}
CONCLUSION_KEYS = {"status", "bestArm", "bestScore", "text"}

_FOLDER = Path(__file__).parents[2] / "vectors"


def cases() -> list[Case]:
    """Returns every case of every file."""
    files = [json.loads(file.read_text("utf-8")) for file in sorted(_FOLDER.glob("rank*.json"))]
    return [case for file in files for case in file["cases"]]


def arms_of(case: Case) -> list[ArmResult]:
    """Returns the arms of a case, in the order of their creation."""
    return [ParseDict(arm, ArmResult()) for arm in case["arms"]]


def arguments_of(request: RankRequest) -> dict[str, Any]:
    """Returns a request as arguments of `rank`, or of `rank_groups` if it is by group."""
    arguments = {
        "direction": codec.direction_from_proto(request.direction),
        "status": [codec.arm_status_from_proto(status) for status in request.statuses] or None,
    }
    return arguments | ({"min_members": request.min_members} if request.by_group else {})


def response_of(found: Any) -> RankResponse:
    """Returns a ranking of arms or of groups as a message."""
    groups = getattr(found, "groups", None)
    return RankResponse(
        arms=map(rankings.RANKED_ARM.to_proto, getattr(found, "arms", [])),
        groups=map(rankings.RANKED_GROUP.to_proto, groups or []),
        metric=found.metric,
        direction=codec.direction_to_proto(found.direction),
        counts=rankings.RANK_COUNTS.to_proto(found.counts),
        sources=map(rankings.RANK_SOURCE.to_proto, found.sources),
        group_counts=None
        if groups is None
        else rankings.RANK_GROUP_COUNTS.to_proto(found.group_counts),
    )


def record(client: podium.Client, name: str, case: Case) -> None:
    """Declares the experiment of a case under a name, and records its arms."""
    declared = ParseDict(case["experiment"], ExperimentDeclared())
    recorded = [Event(arm_recorded=ArmRecorded(arm_result=arm)) for arm in arms_of(case)]
    client.record(name, [Event(experiment_declared=declared), *recorded])


def hold(expected: Case, answer: RankResponse) -> None:
    """Asserts that a response has the fields of a vector. Statistics may differ by rounding."""
    groups = [
        {name: value for name, value in group.items() if name != "statistics"}
        for group in expected.get("groups", [])
    ]
    check({**expected, **({"groups": groups} if groups else {})}, answer, "ranking")
    for group, found in zip(expected.get("groups", []), answer.groups, strict=False):
        for name, value in group.get("statistics", {}).items():
            _hold_statistic(found.statistics, name, value)


def _hold_statistic(found: ScoreStatistics, name: str, value: Any) -> None:
    field = ScoreStatistics.DESCRIPTOR.fields_by_camelcase_name[name]
    if value is None:
        assert not found.HasField(field.name), (name, found)  # type: ignore[arg-type]
        return
    wanted = getattr(ParseDict({name: value}, ScoreStatistics()), field.name)
    seen = getattr(found, field.name)
    assert seen == wanted or math.isclose(seen, wanted, rel_tol=1e-9), (name, found)
