"""Tests of the functions of `podium.scoring` and of ArmResult with the test vectors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from podium import scoring
from podium._model import results
from podium._wire import codec
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.eval_result_pb2 import EvalResult

from tests.each import each
from tests.unit.scoring.vectors import Asker, arm_of, cases, check


@dataclass
class _PlainRow:
    name: str
    step: int | None
    tags: list[str]
    metrics: dict[str, float]
    model_ref: str | None
    message: EvalResult


@dataclass
class _Functions:
    """Answers with the functions of `podium.scoring`, for rows that are no `EvalResult`."""

    message: ArmResult
    evals: list[_PlainRow] = field(init=False)

    def __post_init__(self) -> None:
        self.evals = [
            _PlainRow(
                name=row.name,
                step=row.step if row.HasField("step") else None,
                tags=list(row.tags),
                metrics=dict(row.metrics),
                model_ref=row.model_ref if row.HasField("model_ref") else None,
                message=row,
            )
            for row in self.message.evals
        ]

    @property
    def eval_metrics(self) -> dict[str, float]:
        return dict(self.message.eval_metrics)

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.message.metrics)

    def eval(self, name: str, step: int | None) -> results.EvalResult | None:
        row = scoring.find_eval(self.evals, name, step)
        return None if row is None else codec.eval_result_from_proto(row.message)

    def score(self, metric: str) -> scoring.Score | None:
        return scoring.score(self, metric)

    def arm(self) -> None:
        return None


@dataclass
class _Snapshot:
    """Reads evals and scores from an ArmResult."""

    result: results.ArmResult

    def eval(self, name: str, step: int | None) -> results.EvalResult | None:
        return self.result.eval(name, step=step)

    def score(self, metric: str) -> scoring.Score | None:
        score = scoring.score(self.result, metric)
        value = self.result.score(metric)
        assert repr(value) == repr(score.value if score else None)
        return score

    def arm(self) -> results.ArmResult:
        return self.result


def _constructed(message: ArmResult) -> results.ArmResult:
    read = codec.arm_result_from_proto(message)
    given: dict[str, Any] = {
        "eval_metrics": dict(message.eval_metrics),
        "eval_breakdowns": codec.values_from_proto(message.eval_breakdowns),
        "eval_seconds": message.eval_seconds if message.HasField("eval_seconds") else None,
    }
    return results.ArmResult(
        read.name, read.run_config, read.status, read.metrics, evals=read.evals, **given
    )


_WAYS: dict[str, Callable[[ArmResult], Asker]] = {
    "functions": _Functions,
    "constructed": lambda message: _Snapshot(_constructed(message)),
    "read": lambda message: _Snapshot(codec.arm_result_from_proto(message)),
}


@each("way", _WAYS)
def test_reads(way: str) -> None:
    """Evals, scores and mirrored fields equal those of each test vector.

    The answers come from the functions, from a constructed ArmResult, or from an ArmResult that was
    read from a message.
    """
    for case in cases():
        check(case, _WAYS[way](arm_of(case)))


def test_names_of_vectors_are_unique() -> None:
    """No two test vectors have the same name."""
    names = [case["name"] for case in cases()]
    assert len(names) == len(set(names))


def test_vectors_have_no_key_that_nobody_reads() -> None:
    """The test vectors have only known keys, so a misspelt key fails."""
    for case in cases():
        assert case.keys() <= {"name", "arm", "refused", "reads", "evals", "scores"}
        assert all(q.keys() <= {"name", "step", "row"} for q in case.get("evals", []))
        assert all(q.keys() <= {"metric", "answer", "error"} for q in case.get("scores", []))
