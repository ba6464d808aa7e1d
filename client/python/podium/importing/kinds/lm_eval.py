"""Results of EleutherAI's lm-evaluation-harness: one file is one evaluation of one model.

Each file is an arm, in the group of its model. A task is a post-training eval; the filter stands
behind a metric's name (`exact_match,strict-match`) unless it is `none`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from podium._model.results import (
    ArmResult,
    ArmStatus,
    Component,
    EvalResult,
    ModelConfig,
    RunConfig,
)
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import FoundArm, Left
from podium.importing._values import head, json_object, number, numbers, time_from_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["LmEvalImporter"]

_NO_FILTER = ",none"
_COUNTS = "sample_count"
_DIGITS = 8
_MODEL_ARGUMENTS = ("pretrained", "model", "path", "engine")
_FACTS = (
    "date",
    "git_hash",
    "lm_eval_version",
    "transformers_version",
    "task_hashes",
    "higher_is_better",
    "system_instruction_sha",
    "chat_template_sha",
    "fewshot_as_multiturn",
    "max_length",
)

_Said = dict[str, Any]


class LmEvalImporter:
    """Reads result files, those from before version 0.4 as well."""

    kind = "lm_eval"
    summary = "results of EleutherAI's lm-evaluation-harness"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file, if it has results of tasks and the harness's configuration."""
        if path.suffix != ".json" or not path.is_file() or b'"results"' not in head(path):
            return []
        try:
            return [path] if _is_result(json_object(path)) else []
        except ValueError:
            return []

    def read(self, path: Path) -> Iterator[Found]:
        """Reads a file."""
        said = json_object(path)
        if not _is_result(said):
            raise ValueError("no results of lm-evaluation-harness: it lacks results, or config")
        if isinstance(said["results"], list):
            raise ValueError(  # noqa: TRY004 - of the file
                "results of a fork of lm-evaluation-harness, which lists them by prompt: not read"
            )
        yield FoundArm(self.kind, _arm(said, path), str(path))
        for task, names in _unread(said).items():
            why = f"task {task!r}: no number, so not a metric: {', '.join(names)}"
            yield Left(str(path), why, is_wrong=False)


def _is_result(said: _Said) -> bool:
    results, config = said.get("results"), said.get("config")
    tasks = list(results.values()) if isinstance(results, dict) else results
    has_tasks = isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)
    return has_tasks and isinstance(config, dict) and "model_args" in config


def _unread(said: _Said) -> dict[str, list[str]]:
    """What stands among the metrics of a task and is none; texts are labels and N/A."""
    found = {
        task: [key for key in values if key != _COUNTS and isinstance(values[key], list | dict)]
        for task, values in _maps(said, "results").items()
    }
    return {task: names for task, names in found.items() if names}


def _arm(said: _Said, path: Path) -> ArmResult:
    model = _model(said)
    time = time_from_seconds(said.get("date"))
    name = f"{model}@{_mark(said, path, time)}"
    return ArmResult(
        name,
        _run_config(said, model, name),
        ArmStatus.COMPLETED,
        evals=list(_evals(said, time)),
        eval_seconds=number(said.get("total_evaluation_time_seconds")),
        group_name=model,
    )


def _mark(said: _Said, path: Path, time: datetime | None) -> str:
    """What tells apart the files of a model: a date, or the file's name and what is in it.

    Jobs that begin within a second are common, and so are files that all have one name.
    """
    if time is not None:
        return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return f"{path.stem}-{digest[:_DIGITS]}"


def _model(said: _Said) -> str:
    """The model that was evaluated; some files have it in its arguments only."""
    name = said.get("model_name")
    if isinstance(name, str) and name:
        return name
    arguments = _model_arguments(said["config"])
    told = [str(arguments[key]) for key in _MODEL_ARGUMENTS if arguments.get(key)]
    return (told or [str(said["config"].get("model") or "model")])[0]


def _model_arguments(config: _Said) -> _Said:
    """The arguments of the model, which are a text in some files: `pretrained=m,dtype=float`."""
    arguments = config.get("model_args")
    if isinstance(arguments, dict):
        return arguments
    parts = [part.partition("=") for part in str(arguments or "").split(",")]
    return {key.strip(): value for key, sign, value in parts if sign}


def _run_config(said: _Said, model: str, name: str) -> RunConfig:
    config = said["config"]
    facts = {key: said[key] for key in _FACTS if said.get(key) not in (None, {}, "")}
    return RunConfig(
        name,
        model=ModelConfig(model),
        backend=Component(str(config.get("model") or ""), kept_values(_model_arguments(config))),
        eval=kept_values({key: value for key, value in config.items() if value is not None}),
        seed=seed_from(config.get("random_seed")),
        extras=kept_values(facts),
    )


def _evals(said: _Said, time: datetime | None) -> Iterator[EvalResult]:
    """A row for each task and each group of tasks."""
    results = {**_maps(said, "groups"), **_maps(said, "results")}
    for task in [*_maps(said, "results"), *(set(results) - set(_maps(said, "results")))]:
        row = EvalResult(
            task,
            _benchmark(said, task),
            {**_metrics(results[task]), **_sample_count(said, task)},
            _subtasks(said, task),
            tags=["test"],
        )
        row.event_time = time
        yield row


def _maps(said: _Said, field: str) -> Mapping[str, _Said]:
    found = said.get(field)
    return found if isinstance(found, dict) else {}


def _metrics(task: _Said) -> dict[str, float]:
    return {key.removesuffix(_NO_FILTER): value for key, value in numbers(task).items()}


def _benchmark(said: _Said, task: str) -> str | None:
    """The task with its version and shots: only what agrees in these can be compared."""
    version = _maps(said, "versions").get(task)
    shots = _maps(said, "n-shot").get(task, said["config"].get("num_fewshot"))
    parts = [task]
    if version is not None:
        parts.append(f"@{version}")
    if isinstance(shots, int):
        parts.append(f",{shots}-shot")
    return "".join(parts) if len(parts) > 1 else None


def _sample_count(said: _Said, task: str) -> dict[str, float]:
    """How many samples were used; of a group, if that is the same for each of its metrics."""
    counts = _maps(said, "n-samples").get(task)
    told = numbers(counts) if isinstance(counts, dict) else {}
    by_metric = _maps(said, "results").get(task, {}).get(_COUNTS)
    if "effective" not in told and isinstance(by_metric, dict):
        values = set(numbers(by_metric).values())
        told = {"effective": values.pop()} if len(values) == 1 else {}
    return {"n_samples": told["effective"]} if "effective" in told else {}


def _subtasks(said: _Said, task: str) -> dict[str, Any]:
    """What the tasks of a group have come to, each of which has a row of its own, too."""
    names = _maps(said, "group_subtasks").get(task)
    results = _maps(said, "results")
    listed: list[Any] = names if isinstance(names, list) else []
    return {name: _metrics(results[name]) for name in listed if name in results}
