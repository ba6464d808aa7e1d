"""Tests of how the results of evaluation tools are converted, without a server."""

from datetime import UTC, datetime
from typing import Any

import pytest
from podium import Component, ModelConfig
from podium.importing.kinds import inspect_ai, lm_eval

from tests.each import each


@each(
    ("config", "name", "model"),
    [
        ({"model_args": "pretrained=a,model=b"}, "given", "given"),
        ({"model_args": "model=b, pretrained=a"}, None, "a"),
        ({"model_args": {"path": "p", "engine": "e"}}, "", "p"),
        ({"model": "dummy", "model_args": "x"}, 3, "dummy"),
        ({"model_args": None}, None, "model"),
    ],
)
def test_the_model_of_an_evaluation(config: Any, name: object, model: str) -> None:
    """A model's name is `model_name` of the file, or else an argument such as `pretrained`.

    If neither is given, it is `model` of the configuration, or else "model".
    """
    assert lm_eval._model({"model_name": name, "config": config}) == model


def test_the_settings_of_an_evaluation() -> None:
    """Settings such as the batch size and the device are recorded as facts of an evaluation.

    They are not in the run config, by which models are told apart.
    """
    config = {
        "model": "hf",
        "model_args": "pretrained=m, dtype=float",
        "limit": 8,
        "gen_kwargs": {},
        "num_fewshot": 5,
        "batch_size": 4,
        "device": "cpu",
        "random_seed": 3,
        "numpy_seed": 4,
    }
    content = {"config": config, "system_instruction_sha": "s", "task_hashes": {"t": "h"}}
    found = lm_eval.run_config_of(content, "m", "n")
    assert (found.eval, found.extras) == ({"limit": 8}, {"system_instruction_sha": "s"})
    assert (found.seed, found.model) == (3, ModelConfig("m"))
    assert found.backend == Component("hf", {"pretrained": "m", "dtype": "float"})
    assert lm_eval._facts(content) == {
        "batch_size": 4,
        "device": "cpu",
        "random_seed": 3,
        "numpy_seed": 4,
        "task_hashes": {"t": "h"},
    }


@pytest.mark.parametrize(
    ("settings", "is_shortened"), [({"stop": "x" * 74}, False), ({"stop": "x" * 75}, True)]
)
def test_long_generation_settings(settings: dict[str, Any], *, is_shortened: bool) -> None:
    """Generation settings of up to 80 characters are written out. A digest replaces longer ones."""
    text = lm_eval._sampling(settings)
    assert (len(text) == 9) is is_shortened
    assert is_shortened or text == f",stop={settings['stop']}"


def _log_of(**fields: Any) -> dict[str, Any]:
    spec = {"task": "t", "model": "m", "run_id": "r" * 9, "task_id": "i" * 9, "task_version": 0}
    score = {"name": "a", "metrics": {"acc": {"value": 0.5}, "raw": 1, "bad": {}}}
    stats = {"started_at": "2026-01-02T00:00:00", "completed_at": "2026-01-02T00:00:07+00:00"}
    results = {"scores": [score], "completed_samples": 3}
    return {"eval": spec, "status": "success", "stats": stats, "results": results, **fields}


def test_the_arm_of_a_log() -> None:
    """The arm of an Inspect AI log has the log's duration, status and error.

    Its rows have the metrics that are numbers, and the sample count of each score.
    """
    arm = inspect_ai.arm_of(_log_of())
    assert (arm.name, arm.run_id, arm.eval_seconds) == (f"t@m-{'r' * 8}-{'i' * 8}", "r" * 9, 7.0)
    [row] = arm.evals
    assert (row.name, row.metrics) == ("t", {"acc": 0.5, "raw": 1.0, "n_samples": 3.0})
    assert (row.benchmark_id or "").startswith("t@0,")
    assert (row.eval_seconds, row.tags, row.event_time) == (
        7.0,
        ["test"],
        datetime(2026, 1, 2, 0, 0, 7, tzinfo=UTC),
    )
    two = [{"name": "a", "scored_samples": 2}, {"name": "b"}]
    rows = inspect_ai.arm_of(_log_of(results={"scores": two})).evals
    assert [(row.name, row.metrics) for row in rows] == [("t/a", {"n_samples": 2.0}), ("t/b", {})]
    back = {"started_at": "2026-01-02T00:00:08", "completed_at": "2026-01-02T00:00:07"}
    failed = inspect_ai.arm_of(
        _log_of(status="error", stats=back, results=None, error={"message": "no"})
    )
    assert (failed.status, failed.error, failed.eval_seconds) == ("failed", "no", None)
    assert inspect_ai.arm_of(_log_of(error={"traceback": "x"})).error == "{'traceback': 'x'}"


def test_scores_of_older_logs() -> None:
    """Scores of older logs are read from the list `scorers`, or from `scorer` and `metrics`."""
    for results, names in (
        ({"scorers": [{"name": "a"}, 3]}, ["a"]),
        ({"scorer": {"name": "a"}, "metrics": {"acc": 1}}, ["a"]),
        ({}, []),
    ):
        assert [each["name"] for each in inspect_ai._scores({"results": results})] == names
