"""Tests of the signatures of constructors and methods, which callers rely on."""

import inspect
import subprocess
import sys
from dataclasses import MISSING, fields

import pytest
from podium import ArmResult, EvalResult, Experiment, RunConfig

_ARM_RESULT: list[tuple[str, object]] = [
    ("name", inspect.Parameter.empty),
    ("run_config", inspect.Parameter.empty),
    ("status", inspect.Parameter.empty),
    ("metrics", {}),
    ("eval_metrics", {}),
    ("eval_breakdowns", {}),
    ("evals", []),
    ("run_id", None),
    ("error", None),
    ("train_seconds", None),
    ("eval_seconds", None),
    ("run_result", None),
    ("group_id", None),
    ("group_name", None),
]
_EVAL_RESULT: list[tuple[str, object]] = [
    ("name", inspect.Parameter.empty),
    ("benchmark_id", None),
    ("metrics", {}),
    ("breakdowns", {}),
    ("eval_seconds", 0.0),
    ("step", None),
    ("tags", []),
    ("model_ref", None),
]


@pytest.mark.parametrize(
    ("kind", "expected"), [(ArmResult, _ARM_RESULT), (EvalResult, _EVAL_RESULT)]
)
def test_the_signatures_of_constructors(kind: type, expected: list[tuple[str, object]]) -> None:
    """The parameters of the constructors have exactly these names, order and defaults."""
    factories = {
        f.name: f.default_factory for f in fields(kind) if f.default_factory is not MISSING
    }
    parameters = inspect.signature(kind).parameters.values()
    given = [
        (p.name, factories[p.name]() if p.name in factories else p.default) for p in parameters
    ]
    assert given == expected
    assert {p.kind for p in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_the_signatures_of_eval_and_score() -> None:
    """The methods are `eval(name, *, step=None)` and `score(metric)`."""
    assert list(inspect.signature(ArmResult.eval).parameters) == ["self", "name", "step"]
    step = inspect.signature(ArmResult.eval).parameters["step"]
    assert (step.kind, step.default) == (inspect.Parameter.KEYWORD_ONLY, None)
    assert list(inspect.signature(ArmResult.score).parameters) == ["self", "metric"]


def test_output_only_fields_are_attributes_and_no_parameters() -> None:
    """Output-only fields have defaults and are not parameters of the constructor."""
    arm = ArmResult("a", RunConfig("a"), "completed")
    assert (arm.experiment, arm.revision, arm.attempt) == ("", 0, None)
    assert (arm.create_time, arm.update_time) == (None, None)
    row = EvalResult("val")
    assert (row.revision, row.event_time, row.record_time) == (0, None, None)
    experiment = Experiment("sweep")
    assert (experiment.status, experiment.revision) == ("running", 0)
    assert experiment.arm_counts.total == 0
    with pytest.raises(TypeError, match="revision"):
        EvalResult("val", revision=3)  # type: ignore[call-arg]


def test_the_model_needs_neither_grpc_nor_protobuf() -> None:
    """Building and reading results loads neither grpc nor protobuf."""
    code = (
        "import sys; from podium import ArmResult, EvalResult, RunConfig;"
        "arm = ArmResult('a', RunConfig('a'), 'completed', evals=[EvalResult('t')]);"
        "arm.score('x'); arm.eval('t');"
        "print([m for m in sys.modules if m == 'grpc' or m.startswith('google')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
