"""Logs of Inspect (`inspect_ai`): `.eval`, which is a zip, and JSON.

A log is one evaluation of one model on one task. An import joins the logs of a model with the same
settings to one arm. Each score of a log is a post-training eval with the name of the task. If a log
has several scores, the name of the eval is `TASK/SCORE`.
"""

import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from podium._interface.provenance import known
from podium._model.results import (
    ArmResult,
    ArmStatus,
    Component,
    EvalResult,
    ModelConfig,
    RunConfig,
)
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import Evaluation, Found, FoundArm, NotImported
from podium.importing._identities import group_of_model, short_digest
from podium.importing._values import head, json_object, number, numbers, object_in
from podium.importing._zips import zipfile

__all__ = ["InspectImporter", "arm_of", "evaluation_of"]

_NEWEST = 3
"""The newest supported version of logs."""
_HEADERS = ("header.json", "_journal/start.json")
_HEADER_BYTES = 64 * 1024 * 1024
_ID_LENGTH = 8
_DEPTH = 2
_MARKS = {(b"eval", b"task_id"), (b"eval", b"model")}
"""The paths of keys by which the JSON of a log is recognized."""
_SUFFIXES = frozenset({".json", ".txt", ".eval"})
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*(:?)|[{}\[\]]', re.DOTALL)
_STATUSES = {
    "success": ArmStatus.COMPLETED,
    "error": ArmStatus.FAILED,
    "cancelled": ArmStatus.CANCELLED,
    "started": ArmStatus.RUNNING,
}
_OF_TASK = ("task_args", "solver", "solver_args", "sandbox")
"""Keys of the header that are settings of the task."""
_SOLVERS = ("solver", "solver_args", "steps")
_FACTS = ("task", "task_file", "metadata", "tags")
"""Keys of the header that can differ between logs with the same settings."""
_DATASET = ("name", "samples", "shuffled")
_OF_PROGRAM = frozenset({"attempt_timeout", "adaptive_connections", "batch", "cache"}) | {
    *("max_connections", "max_retries", "max_samples", "max_tasks", "max_subprocesses"),
    *("max_sandboxes", "max_dataset_memory", "timeout", "sandbox_cleanup", "score_display"),
}
"""Settings that do not change the results. Nor do the settings that begin with `log_`."""

_Object = dict[str, Any]


class InspectImporter:
    """Imports logs of Inspect. Reads only the header of a log, not its samples."""

    kind = "inspect_ai"
    summary = "logs of Inspect, .eval and .json"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file if it is a log."""
        if path.suffix not in _SUFFIXES or not path.is_file():
            return []
        begin = head(path)
        if path.suffix == ".eval":
            return [path] if begin.startswith(b"PK") or not begin else []
        if b'"task_id"' not in begin:
            return []
        return [path] if _outer_keys(begin) >= _MARKS else []

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arm of a log."""
        log = _zipped(path) if _is_zip(path) else json_object(path)
        if not isinstance(log.get("eval"), dict):
            raise ValueError("not an Inspect log: the object 'eval' is missing")  # noqa: TRY004 - of the file
        version = log.get("version", _NEWEST)
        if not isinstance(version, int) or version > _NEWEST:
            raise ValueError(
                f"the log has version {version}, but {_NEWEST} is the newest supported one; "
                "a newer Podium may support it"
            )
        yield FoundArm(self.kind, arm_of(log), str(path), evaluation=evaluation_of(log))
        if not _scores(log) and (log.get("status") is None or log.get("results")):
            is_complete = log.get("status") is not None
            why = "has no scores" if is_complete else "is incomplete: it has no results"
            yield NotImported(str(path), f"the log {why}", is_wrong=False)
        for score in _scores(log):
            lost = [key for key, value in _values(score).items() if number(value) is None]
            if lost:
                why = f"score {_name(score)!r}: not imported, because they are not numbers: "
                yield NotImported(str(path), why + ", ".join(lost), is_wrong=False)


def _outer_keys(text: bytes) -> set[tuple[bytes, ...]]:
    """Returns the paths of the keys at the beginning of a JSON object, to a limited depth."""
    above: list[bytes] = []
    key, found = b"", set[tuple[bytes, ...]]()
    for token in _TOKEN.finditer(text):
        if token[0] in b"{[":
            above.append(key)
        elif token[0] in b"}]":
            del above[-1:]
        elif token[2]:
            key = token[1]
            if len(above) <= _DEPTH:
                found.add((*above[1:], key))
    return found


def _is_zip(path: Path) -> bool:
    return path.suffix == ".eval" or zipfile.is_zipfile(path)


def _zipped(path: Path) -> _Object:
    """Returns the header of a zipped log, or the JSON of its start if the log is incomplete."""
    if not path.stat().st_size:
        raise ValueError("the file is empty")
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in _HEADERS if name in archive.namelist()), None)
            if name is None:
                raise ValueError(f"not an Inspect log: the zip lacks {_HEADERS[0]}")
            found = json.loads(_entry(archive, name))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"a damaged zip: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise ValueError(
            "this Python cannot read the zip; if it is compressed with Zstandard, "
            f"pip install 'podium[import]' ({error})"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not a JSON object")  # noqa: TRY004 - of the file
    return found


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads a zip's entry up to a limit, because the zip's directory may state a wrong size."""
    with archive.open(name) as file:
        found = file.read(_HEADER_BYTES + 1)
    if len(found) > _HEADER_BYTES:
        raise ValueError(f"{name} is larger than the limit of {_HEADER_BYTES:,} bytes")
    return found


def arm_of(log: _Object) -> ArmResult:
    """Returns the arm of a log, given the JSON objects of its header."""
    spec = log["eval"]
    model, task = str(spec.get("model") or "model"), str(spec.get("task") or "task")
    begin, end = _times(log)
    name = _name_of_arm(spec, model, task)
    seconds = (end - begin).total_seconds() if begin and end and end >= begin else None
    error = log.get("error")
    config, scores = _run_config(log, model, name), list(_evals(log, task, seconds or 0.0, end))
    status = _status(log)
    group = _group(config)
    if status == ArmStatus.COMPLETED and scores:
        config = _with(config, _settings_of_task(log))
    arm = ArmResult(
        name,
        config,
        status,
        evals=scores,
        run_id=str(spec["run_id"]) if spec.get("run_id") else None,
        error=str(error.get("message") or error) if isinstance(error, dict) else None,
        eval_seconds=seconds,
        group_name=group,
    )
    commit = object_in(spec, "revision").get("commit")
    arm.provenance = known(commit, packages=object_in(spec, "packages"))
    return arm


def evaluation_of(log: _Object) -> Evaluation:
    """Returns how an import joins a log with other logs of its model."""
    spec = log["eval"]
    model, task = str(spec.get("model") or "model"), str(spec.get("task") or "task")
    name = _name_of_arm(spec, model, task)
    config = _run_config(log, model, name)
    begin, end = _times(log)
    facts = {key: spec[key] for key in _FACTS if spec.get(key)}
    facts |= {**_settings_of_task(log), "dataset": spec.get("dataset") or {}}
    facts["dataset"] = {k: v for k, v in facts["dataset"].items() if k in (*_DATASET, "location")}
    if begin and end and end >= begin:
        facts["seconds"] = (end - begin).total_seconds()
    key = name.removeprefix(f"{task}@{model}-")
    solvers = {k: v for k, v in _settings_of_task(log).items() if k in _SOLVERS}
    settings = _settings(config)
    benchmark = {task: _benchmark(log, task)}
    places = (
        (_group(config), config),
        (group_of_model(model, settings, solvers), _with(config, solvers)),
        (group_of_model(model, settings, benchmark), _with(config, _settings_of_task(log))),
    )
    return Evaluation(places, str(spec.get("run_id") or key)[:_ID_LENGTH], key, facts)


def _with(config: RunConfig, settings: _Object) -> RunConfig:
    return replace(config, eval={**config.eval, **kept_values(settings)})


def _name_of_arm(spec: _Object, model: str, task: str) -> str:
    ids = (spec.get("run_id"), spec.get("task_id"))
    suffixes = [str(identity)[:_ID_LENGTH] for identity in ids if identity]
    return "-".join([f"{task}@{model}", *suffixes])


def _group(config: RunConfig) -> str:
    return group_of_model(config.model.name if config.model else "model", _settings(config))


def _settings(config: RunConfig) -> _Object:
    return {"args": config.backend.params if config.backend else {}, **config.eval}


def _status(log: _Object) -> ArmStatus:
    default = ArmStatus.COMPLETED if _scores(log) else ArmStatus.RUNNING
    return _STATUSES.get(str(log.get("status")), default)


def _times(log: _Object) -> tuple[datetime | None, datetime | None]:
    stats = object_in(log, "stats")
    return _time(stats.get("started_at")), _time(stats.get("completed_at"))


def _time(text: Any) -> datetime | None:
    """Parses a time. A time without a zone is in UTC. Returns None for an invalid time."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _run_config(log: _Object, model: str, name: str) -> RunConfig:
    """Returns the configuration of an evaluation, without the settings of its task."""
    spec = log["eval"]
    parts = {
        "generation": _kept(object_in(_plan(log), "config")),
        "model_generate_config": _kept(object_in(spec, "model_generate_config")),
        "model_roles": object_in(spec, "model_roles"),
    }
    settings = {key: part for key, part in parts.items() if part}
    return RunConfig(
        name,
        model=ModelConfig(model),
        backend=Component("inspect_ai", kept_values(object_in(spec, "model_args"))),
        eval=kept_values({**_kept(object_in(spec, "config")), **settings}),
        seed=_seed(log),
    )


def _kept(settings: _Object) -> _Object:
    """Returns the settings that change what is measured, without the seed."""
    return {
        key: value
        for key, value in settings.items()
        if value is not None and key not in _OF_PROGRAM and key != "seed" and key[:4] != "log_"
    }


def _seed(log: _Object) -> int | None:
    parts = (object_in(_plan(log), "config"), object_in(log["eval"], "config"))
    given = [part.get("seed") for part in parts]
    return next((seed for seed in map(seed_from, given) if seed is not None), None)


def _settings_of_task(log: _Object) -> _Object:
    """Returns the settings of the task: arguments, dataset, solvers, scorers."""
    spec = log["eval"]
    found = {key: spec[key] for key in _OF_TASK if spec.get(key)}
    dataset = object_in(spec, "dataset")
    found["dataset"] = {key: dataset[key] for key in _DATASET if dataset.get(key) is not None}
    found["steps"] = _plan(log).get("steps")
    listed = spec.get("scorers") or _scores(log)  # only recent logs have them in the header
    found["scorers"] = [
        {"name": scorer.get("name"), "options": scorer.get("options", scorer.get("params"))}
        for scorer in (listed if isinstance(listed, list) else [])
        if isinstance(scorer, dict)
    ]
    return {key: value for key, value in found.items() if value}


def _plan(log: _Object) -> _Object:
    return object_in(log, "plan")


def _evals(log: _Object, task: str, seconds: float, time: datetime | None) -> Iterator[EvalResult]:
    scores = _scores(log)
    for score, name in zip(scores, _names(scores), strict=True):
        row = EvalResult(
            task if len(scores) == 1 else f"{task}/{name}",
            _benchmark(log, task),
            {**numbers(_values(score)), **_sample_count(log, score)},
            eval_seconds=seconds,
            tags=["test"],
        )
        row.event_time = time
        yield row


def _scores(log: _Object) -> list[_Object]:
    """Returns the scores of a log. Older logs have `scorers`, or `scorer` and `metrics`."""
    results = object_in(log, "results")
    scores = results.get("scores", results.get("scorers"))
    if scores is None and isinstance(results.get("metrics"), dict):
        scores = {**object_in(results, "scorer"), "metrics": results["metrics"]}
    listed = scores if isinstance(scores, list) else [scores]
    return [score for score in listed if isinstance(score, dict)]


def _names(scores: list[_Object]) -> list[str]:
    """Returns a unique name for each score. Equal names get the name of the scorer, or a number."""
    names = [_name(score) for score in scores]
    counts = Counter(names)
    prefixed = [
        f"{score.get('scorer')}/{name}" if counts[name] > 1 and score.get("scorer") else name
        for score, name in zip(scores, names, strict=True)
    ]
    return [
        f"{name}-{n}" if (n := prefixed[:at].count(name)) else name
        for at, name in enumerate(prefixed)
    ]


def _name(score: _Object) -> str:
    reducer = score.get("reducer")
    return f"{score.get('name', 'score')}{f'/{reducer}' if reducer else ''}"


def _benchmark(log: _Object, task: str) -> str:
    """Returns a benchmark_id: the task, its version and a digest of its settings."""
    version = log["eval"].get("task_version")
    settings = json.dumps(_settings_of_task(log), sort_keys=True, default=str)
    return f"{task}{'' if version is None else f'@{version}'},{short_digest(settings)}"


def _values(score: _Object) -> _Object:
    """Returns the values of metrics, which recent logs wrap in an object with the key `value`."""
    return {
        key: metric.get("value") if isinstance(metric, dict) else metric
        for key, metric in object_in(score, "metrics").items()
    }


def _sample_count(log: _Object, score: _Object) -> dict[str, float]:
    count = number(score.get("scored_samples", log["results"].get("completed_samples")))
    return {} if count is None else {"n_samples": count}
