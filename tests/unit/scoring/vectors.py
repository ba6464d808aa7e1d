"""The test vectors of `tests/vectors/reads*.json`, and checks of answers against them.

An `Asker` answers the questions of a vector. It can be the pure functions, an ArmResult, or a
client of a running server.
"""

import json
import struct
from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from podium import scoring
from podium._model import results
from podium._wire import codec
from podium.errors import InvalidArgumentError
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.results_service_pb2 import ScoreResponse

from tests.messages import score_response

__all__ = [
    "OUTPUT_ONLY",
    "Asker",
    "Case",
    "arm_of",
    "cases",
    "check",
    "check_eval",
    "check_reads",
    "check_score",
    "plain",
]

Case = dict[str, Any]

OUTPUT_ONLY = ("revision", "event_time", "record_time")
"""The fields of a row that only a server sets."""

_FOLDER = Path(__file__).parents[2] / "vectors"


class Asker(Protocol):
    """Answers questions about one arm."""

    def eval(self, name: str, step: int | None) -> results.EvalResult | None:
        """Returns the row that answers `eval(name, step=step)`. The step can be None."""

    def score(self, metric: str) -> scoring.Score | None:
        """Returns the score on a metric and its source.

        Raises podium.InvalidArgumentError if the metric is invalid.
        """

    def arm(self) -> results.ArmResult | None:
        """Returns the whole arm as it is read, or None if this asker has none."""


def cases() -> list[Case]:
    """Returns every case of every file of vectors."""
    files = sorted(_FOLDER.glob("reads*.json"))
    return [case for file in files for case in json.loads(file.read_text("utf-8"))["cases"]]


def arm_of(case: Case) -> ArmResult:
    """Builds the arm of a case."""
    return ParseDict(case["arm"], ArmResult())


def check(case: Case, asker: Asker) -> None:
    """Asks all questions of a case and checks the answers."""
    for question in case.get("evals", []):
        step = int(question["step"]) if "step" in question else None
        check_eval(case, question, _row(asker.eval(question["name"], step)))
    for question in case.get("scores", []):
        check_score(question, _score(asker, question["metric"]))
    arm = asker.arm()
    if arm is not None:
        check_reads(case, _mirrors(arm))


def check_eval(case: Case, question: Case, row: EvalResult | None) -> None:
    """Checks that the row that answers a question about an eval is the expected one."""
    expected = None if question["row"] is None else arm_of(case).evals[question["row"]]
    assert plain(row) == plain(expected), f"{question}: {row}"


def check_score(question: Case, answer: ScoreResponse | str) -> None:
    """Checks that the answer to a question about a score, or its error code, is expected."""
    if "error" in question or isinstance(answer, str):
        assert answer == question.get("error"), f"{question}: {answer}"
    else:
        expected = ParseDict(question["answer"], ScoreResponse())
        assert plain(answer) == plain(expected), f"{question}: {answer}"


def check_reads(case: Case, arm: ArmResult) -> None:
    """Checks that the mirrored fields of an arm have their expected values."""
    expected = case.get("reads", {})
    message = ParseDict(expected, ArmResult())
    for name in expected:
        field = ArmResult.DESCRIPTOR.fields_by_camelcase_name[name].name
        assert _plain(getattr(arm, field)) == _plain(getattr(message, field)), f"{name}: {arm}"


def plain(message: Message | None) -> Any:
    """Returns the content of a message, with doubles by their bits and all NaN equal."""
    if message is None:
        return None
    return {field.name: _plain(value) for field, value in message.ListFields()}


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, float):
        return "NaN" if isnan(value) else struct.pack("<d", value)
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if _is_list(value) else value


def _is_list(value: Any) -> bool:
    # Lists of messages have no __iter__.
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _row(row: results.EvalResult | None) -> EvalResult | None:
    if row is None:
        return None
    message = codec.eval_result_to_proto(row)
    for output_only in OUTPUT_ONLY:
        message.ClearField(output_only)  # type: ignore[arg-type]
    return message


def _score(asker: Asker, metric: str) -> ScoreResponse | str:
    try:
        return score_response(asker.score(metric))
    except InvalidArgumentError as error:
        return error.code


def _mirrors(arm: results.ArmResult) -> ArmResult:
    return ArmResult(
        eval_metrics=arm.eval_metrics,
        eval_breakdowns=codec.values_to_proto(arm.eval_breakdowns),
        eval_seconds=arm.eval_seconds,
    )
