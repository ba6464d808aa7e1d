"""The folder of a single run: `run_result.json`, and `logs/` with metrics and hyperparameters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium._model.results import ArmResult, RunResult
from podium.importing._configs import run_config_from, unquoted
from podium.importing._found import Found, FoundArm, attempted
from podium.importing._values import head, is_torn_object, json_object, numbers, object_in
from podium.importing.kinds.evsys._common import merged, status_of, text_or_none, training_and_rows

__all__ = ["is_one", "read"]

_RESULT = "run_result.json"
_MARKS = (b'"run_id"', b'"status"')


def is_one(path: Path) -> bool:
    """Returns whether a folder has an evsys run."""
    file = path / _RESULT
    if not file.is_file():
        return False
    begin = head(file)
    return is_torn_object(begin) or all(mark in begin for mark in _MARKS)


def read(path: Path) -> Iterator[Found]:
    """Yields a run as an arm of the experiment that its hyperparameters name."""
    content = json_object(path / _RESULT)
    hyperparams: dict[str, Any] = {}
    given = path / "logs" / "hyperparams.json"
    if given.is_file():
        hyperparams = (yield from attempted(given, json_object)) or {}
    logged, rows = yield from training_and_rows(path / "logs" / "metrics.jsonl")
    name = text_or_none(content.get("run_id")) or path.name
    result = _result(content, name)
    config = run_config_from(content.get("hparams"), name, hyperparams=hyperparams or None)
    experiment = text_or_none(hyperparams.get("experiment_name")) or path.resolve().parent.name
    arm = ArmResult(
        config.name,
        config,
        status_of(content.get("status"), result.error),
        {**logged, **result.metrics},
        evals=(yield from merged(rows, path / "logs" / "metrics.jsonl")),
        run_id=name,
        error=result.error,
        run_result=result,
    )
    yield FoundArm(experiment, arm, str(path / _RESULT))


def _result(content: dict[str, Any], name: str) -> RunResult:
    parts = {key: unquoted(content.get(key)) for key in ("metrics", "artifacts")}
    return RunResult(
        name,
        str(content.get("status") or ""),
        numbers(object_in(parts, "metrics")),
        {str(key): str(place) for key, place in object_in(parts, "artifacts").items()},
        text_or_none(content.get("error")),
        {"ts": content["ts"]} if content.get("ts") is not None else {},
    )
