"""Tests of results as plain JSON, which is strict and exact in both directions."""

import json
import math
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from podium import ArmResult, Component, EvalResult, RunConfig, RunResult
from podium._files import json_form
from podium._model.results import ArmSummary
from podium._values.base import ModelBase
from podium.scoring import Score

from tests.each import each
from tests.unit.wire.exact import exact

_R = TypeVar("_R", bound=ModelBase)

_ARM = {
    "name": "r4",
    "run_config": {
        "name": "r4",
        "data": {"source_kind": "hf", "hf_dataset": "digits", "rows": [[1, 2.5]]},
        "model": {"name": "mlp"},
        "algorithm": {"kind": "sgd", "params": {"rank": 4, "lr": 0.5, "big": 2**53 + 1}},
        "seed": 0,
        "warmup": 10,
    },
    "status": "completed",
    "metrics": {"loss": "NaN", "steps": 100},
    "evals": [
        {"name": "val", "step": 0, "metrics": {"acc": 0.25}},
        {
            "name": "test",
            "tags": ["test"],
            "metrics": {"acc": 0.5, "ppl": "Infinity"},
            "breakdowns": {
                "0": {"$double": "-Infinity"},
                "text": "NaN",
                "map": {"$map": {"$map": 1}},
            },
        },
    ],
    "train_seconds": 12,
}


def _read(kind: type[_R], given: dict[str, Any]) -> _R:
    return json_form.record_from_json(kind, given, "it")


def _strict(given: dict[str, Any]) -> Any:
    return json.loads(json.dumps(given, allow_nan=False), parse_constant=pytest.fail)


def test_an_arm_can_be_written_by_hand() -> None:
    """An arm can be read from JSON that a person writes, without most of the keys."""
    arm = json_form.arm_from_json(_ARM)
    assert arm.run_config.algorithm == Component("sgd", {"rank": 4, "lr": 0.5, "big": 2**53 + 1})
    assert exact(arm.run_config.extras) == exact({"warmup": 10})
    assert exact(arm.metrics) == exact({"loss": math.nan, "steps": 100.0})
    assert arm.evals[0].step == 0
    assert exact(arm.evals[1].breakdowns) == exact(
        {"0": -math.inf, "text": "NaN", "map": {"$map": 1}}
    )
    assert (arm.score("acc"), arm.score("ppl"), arm.run_config.seed) == (0.5, math.inf, 0)


def test_an_arm_is_written_as_it_reads() -> None:
    """A written arm has every field, also those that have the values of its primary eval.

    Maps are sorted by key. The JSON is strict: NaN and infinities are strings or objects.
    """
    config = RunConfig("a", algorithm=Component("sgd", {"rank": 4, "lr": 4.0, "x": math.nan}))
    row = EvalResult("t", metrics={"acc": -math.inf}, breakdowns={"0": [True, None]}, step=0)
    arm = ArmResult("a", config, "completed", evals=[row])
    assert json.dumps(json_form.to_json(arm), allow_nan=False) == (
        '{"name": "a", "run_config": {"name": "a", "data": null, "model": null, "algorithm": '
        '{"kind": "sgd", "params": {"lr": 4.0, "rank": 4, "x": {"$double": "NaN"}}}, '
        '"backend": null, "eval": {}, "validation": {}, "seed": null, "tags": [], "extras": {}}, '
        '"status": "completed", "metrics": {}, "eval_metrics": {"acc": "-Infinity"}, '
        '"eval_breakdowns": {"0": [true, null]}, "evals": [{"name": "t", "benchmark_id": null, '
        '"metrics": {"acc": "-Infinity"}, "breakdowns": {"0": [true, null]}, "eval_seconds": 0.0, '
        '"step": 0, "tags": [], "model_ref": null, "revision": 0, "event_time": null, '
        '"record_time": null}], "run_id": null, "error": null, "train_seconds": null, '
        '"eval_seconds": null, "run_result": null, "group_id": null, "group_name": null, '
        '"experiment": "", "revision": 0, "create_time": null, "update_time": null, '
        '"attempt": null, "last_heard": null, "annotations": null, "tags": [], "provenance": null}'
    )


def test_mirrored_fields_of_a_read_arm_follow_its_rows() -> None:
    """If a row of a read arm changes, the arm's fields that mirror this row change, too."""
    arm = json_form.arm_from_json(json_form.to_json(json_form.arm_from_json(_ARM)))
    arm.evals[1].metrics["acc"] = 0.75
    assert arm.score("acc") == 0.75


def test_the_other_forms() -> None:
    """Rows, run results and configs are written and read. Summaries and scores are written."""
    row = EvalResult("t", step=3)
    assert _read(EvalResult, json_form.to_json(row)) == row
    result = RunResult("r", "ok", {"loss": math.nan}, {"log": "x"}, extras={"a": 1})
    assert _read(RunResult, json_form.to_json(result)) == result
    config = RunConfig("r", extras={"a": 1})
    assert _read(RunConfig, json_form.to_json(config)) == config
    summary = json_form.to_json(ArmSummary("a", config, "failed", eval_count=2))
    assert (summary["status"], summary["eval_count"], summary["attempt"]) == ("failed", 2, None)
    assert json_form.to_json(Score(math.nan, "in_loop_eval", "acc", "val", 0)) == {
        "value": "NaN",
        "origin": "in_loop_eval",
        "key": "acc",
        "eval_name": "val",
        "step": 0,
    }


@each(
    ("given", "message"),
    [
        ([], "arm: must be an object, not list"),
        ({"name": "a", "status": "running"}, "arm: run_config is missing"),
        ({**_ARM, "metric": {}}, "arm: unknown key 'metric'; the keys are name, run_config, "),
        ({**_ARM, "status": "done"}, "arm: status must be one of pending, running, "),
        ({**_ARM, "metrics": {"a": "0.5"}}, r"arm: metrics\['a'\] must be a number, not str"),
        ({**_ARM, "metrics": 3}, "arm: metrics must be a mapping, not int"),
        ({**_ARM, "evals": {}}, "arm: evals must be a list, not dict"),
        ({**_ARM, "evals": [{"name": 1}]}, r"arm: evals\[0\]: name must be a string, not int"),
        ({**_ARM, "evals": [{"name": "v", "step": 1.5}]}, r"evals\[0\]: step must be an integer"),
        ({**_ARM, "evals": [{"name": "v", "step": 2**63}]}, r"evals\[0\]: step must be an integer"),
        (
            {**_ARM, "evals": [{"name": "v", "breakdowns": {"x": {"$double": 3}}}]},
            r"evals\[0\]: \$double must be one of NaN, Infinity, -Infinity; not 3",
        ),
        ({**_ARM, "run_config": "x"}, "arm: run_config: must be an object, not str"),
        (
            {**_ARM, "run_config": {"name": "a", "lr": 1, "extras": {"lr": 2}}},
            "arm: run_config: 'lr' is given twice, in run_config and in its extras",
        ),
        (
            {**_ARM, "run_config": {"name": "a", "extras": 3}},
            "run_config: extras must be a mapping",
        ),
        (
            {**_ARM, "run_config": {"name": "a", "x": 1, "extras": 3}},
            "run_config: extras must be a mapping, not int",
        ),
        ({**_ARM, "create_time": "2026-01-01T00:00:00"}, "arm: create_time must have a time zone"),
        ({**_ARM, "create_time": "soon"}, "arm: Invalid isoformat string: 'soon'"),
    ],
)
def test_the_error_names_the_wrong_key(given: Any, message: str) -> None:
    """An object that is not a valid arm raises a ValueError that names the key."""
    with pytest.raises(ValueError, match=message):
        json_form.arm_from_json(given)


def test_null_is_the_default() -> None:
    """A key with the value null counts as a missing key."""
    row = _read(EvalResult, {"name": "t", "metrics": None, "tags": None, "step": None})
    assert row == EvalResult("t")


@dataclass(eq=False)
class _Measured(ModelBase):
    arm: str
    metrics: dict[str, float]
    row: EvalResult | None = None


def test_other_records_read_alike() -> None:
    """A dataclass that contains parts of the model is read by the same rules as an arm."""
    read = json_form.record_from_json(
        _Measured, {"arm": "a", "metrics": {"x": "NaN"}, "row": {"name": "v"}}, "line 1"
    )
    assert exact([read.arm, read.metrics, read.row]) == exact(
        ["a", {"x": math.nan}, EvalResult("v")]
    )
    with pytest.raises(ValueError, match="line 1: metrics is missing"):
        json_form.record_from_json(_Measured, {"arm": "a"}, "line 1")
