"""The vectors of `tests/vectors/rank*.json`, and how rankings are held against them."""

import json
import math
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.ranking_pb2 import ScoreStatistics
from podium.v1.results_service_pb2 import RankResponse

from tests.recording.vectors import check

__all__ = ["CASE_KEYS", "CONCLUSION_KEYS", "RANK_KEYS", "Case", "arms_of", "cases", "hold"]

Case = dict[str, Any]

CASE_KEYS = {"name", "experiment", "arms", "ranks", "conclusion"}
RANK_KEYS = {"request", "response", "error"}
CONCLUSION_KEYS = {"status", "bestArm", "bestScore", "text"}

_FOLDER = Path(__file__).parents[1] / "vectors"


def cases() -> list[Case]:
    """Every case of every file."""
    files = [json.loads(file.read_text("utf-8")) for file in sorted(_FOLDER.glob("rank*.json"))]
    return [case for file in files for case in file["cases"]]


def arms_of(case: Case) -> list[ArmResult]:
    """The arms of a case, in the order of their creation."""
    return [ParseDict(arm, ArmResult()) for arm in case["arms"]]


def hold(expected: Case, answer: RankResponse) -> None:
    """Holds the fields that are named against an answer; statistics may differ by rounding."""
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
