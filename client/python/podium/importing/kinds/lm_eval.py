"""Results of EleutherAI's lm-evaluation-harness: one file is one evaluation of one model.

An import joins the files of a model with the same settings to one arm. A task is a post-training
eval. A filter remains in the metric's name (`exact_match,strict-match`) unless it is `none`.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
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
from podium.importing._found import Evaluation, Found, FoundArm, FoundExperiment, NotImported
from podium.importing._identities import group_of_model, short_digest
from podium.importing._values import (
    head,
    json_object,
    number,
    numbers,
    object_in,
    time_from_seconds,
)

__all__ = [
    "PROMPTS",
    "LmEvalImporter",
    "directions_of",
    "evals_of",
    "group_of",
    "run_config_of",
    "time_text",
]

_NO_FILTER = ",none"
_COUNTS = "sample_count"
_COUNT = "sample_len"
_SHOTS = "num_fewshot"
_MODEL_ARGUMENTS = ("pretrained", "model", "path", "engine")
_SEEDS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_FILE = re.compile(r"results(_\d{4}-\d\d-\d\d.*)?\.json")
"""The names that the harness gives to its files."""
_MARKS = (b'"alias":', b',none"', b'"versions":', b'"n-shot":', b'"group_subtasks":')
"""Strings by which results of the harness are recognized. One of them is enough."""
_PACKAGES = {"lm_eval": "lm_eval_version", "transformers": "transformers_version"}
PROMPTS = ("system_instruction_sha", "chat_template_sha", "fewshot_as_multiturn")
"""Settings that result files have outside of their object `config`."""
_OF_PROGRAM = ("batch_size", "batch_sizes", "device", "use_cache", "bootstrap_iters")
"""Settings that do not change what is measured."""
_OF_TASKS = ("task_hashes", "max_length")
_GREEDY = {"do_sample": (False,), "temperature": (0, None)}
_MOST_SHOWN = 80
"""The longest string of generation settings in a benchmark_id. A digest replaces longer ones."""

_Object = dict[str, Any]


class LmEvalImporter:
    """Imports result files, including those of versions before 0.4."""

    kind = "lm_eval"
    summary = "results of EleutherAI's lm-evaluation-harness"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file if it has results of the harness, even if the file is cut off."""
        if path.suffix != ".json" or not path.is_file():
            return []
        begin = head(path)
        if not begin:
            return [path] if _FILE.fullmatch(path.name) and "_" in path.name else []
        if b'"results"' not in begin:
            return []
        try:
            content = json_object(path)
        except ValueError:
            return [path] if any(mark in begin for mark in _MARKS) else []
        return [path] if _is_result(content) or _lacks_config(content) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arm of a file, and before it an experiment if metrics are to be minimized.

        After the arm, yields a NotImported for each task with lists or objects among its values.
        """
        content = json_object(path)
        if _lacks_config(content) and not _is_result(content):
            raise ValueError(
                "the results have no 'config' with 'model_args', so their model is not known"
            )
        if not _is_result(content):
            raise ValueError(
                "not a results file of lm-evaluation-harness: "
                "'results', or 'config' with 'model_args', is missing"
            )
        if isinstance(content["results"], list):
            raise ValueError(  # noqa: TRY004 - of the file
                "results listed by prompt (a fork of lm-evaluation-harness) are not supported"
            )
        directions = directions_of(content)
        if directions:
            yield FoundExperiment(self.kind, str(path), directions=directions)
        yield _found_arm(content, path)
        for task, names in _non_numbers(content).items():
            why = f"task {task!r}: not imported, because they are not numbers: {', '.join(names)}"
            yield NotImported(str(path), why, is_wrong=False)


def _is_result(content: _Object) -> bool:
    config = content.get("config")
    return _has_tasks(content) and isinstance(config, dict) and "model_args" in config


def _has_tasks(content: _Object) -> bool:
    results = content.get("results")
    tasks = list(results.values()) if isinstance(results, dict) else results
    return isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)


def _lacks_config(content: _Object) -> bool:
    """Returns whether an object has results and versions by task, as files of the harness have.

    Such an object can be a file of the harness whose configuration is missing.
    """
    versions = object_in(content, "versions")
    is_named = isinstance(content.get("results"), dict) and _has_tasks(content)
    return is_named and bool(versions) and versions.keys() <= _named_tasks(content)


def _named_tasks(content: _Object) -> set[str]:
    return {
        *object_in(content, "results"),
        *object_in(content, "groups"),
        *object_in(content, "n-shot"),
    }


def _non_numbers(content: _Object) -> dict[str, list[str]]:
    """Returns for each task the names of its metrics that are lists or objects.

    Strings are not metrics: a string is a label, or N/A.
    """
    found = {
        task: [key for key in values if key != _COUNTS and isinstance(values[key], list | dict)]
        for task, values in object_in(content, "results").items()
    }
    return {task: names for task, names in found.items() if names}


def _found_arm(content: _Object, path: Path) -> FoundArm:
    model = _model(content)
    time = time_from_seconds(content.get("date"))
    key = _suffix(content, path, time)
    name = f"{model}@{key}"
    shared = run_config_of(content, model, name)
    rows = list(evals_of(content, time))
    config = replace(shared, eval={**shared.eval, **_settings_of_tasks(content)})
    arm = ArmResult(
        name,
        config,
        ArmStatus.COMPLETED,
        evals=rows,
        eval_seconds=number(content.get("total_evaluation_time_seconds")),
        group_name=group_of(shared),
    )
    packages = {name: content.get(key) for name, key in _PACKAGES.items()}
    arm.provenance = known(content.get("git_hash"), packages=packages)
    benchmarks = {row.name: row.benchmark_id for row in rows}
    of_tasks = {_settings_of_task(content, row.name).removeprefix(",") for row in rows}
    settings = {"task_settings": sorted(of_tasks)}
    places = (
        (group_of(shared), shared),
        (
            group_of_model(model, _settings(shared), settings),
            replace(shared, eval={**shared.eval, **settings}),
        ),
        (group_of_model(model, _settings(shared), benchmarks), config),
    )
    facts = {"seconds": arm.eval_seconds, **_facts(content)}
    place = Evaluation(places, key, key, facts)
    return FoundArm(LmEvalImporter.kind, arm, str(path), evaluation=place)


def group_of(config: RunConfig) -> str:
    """Returns the group of an evaluation: its model, and a digest of its settings."""
    model = config.model.name if config.model else "model"
    return group_of_model(model, _settings(config))


def _settings(config: RunConfig) -> _Object:
    backend = config.backend or Component("")
    return {"backend": backend.kind, "args": backend.params, **config.eval, **config.extras}


def _settings_of_tasks(content: _Object) -> _Object:
    """Returns the settings of single tasks, by setting and task."""
    shots = content["config"].get(_SHOTS)
    generation = _generation(content)
    kept: _Object = kept_values(_given({"generation_kwargs": generation, _SHOTS: shots}))
    return kept


def _generation(content: _Object) -> dict[str, _Object]:
    return {
        task: settings["generation_kwargs"]
        for task, settings in object_in(content, "configs").items()
        if isinstance(settings, dict) and isinstance(settings.get("generation_kwargs"), dict)
    }


def _facts(content: _Object) -> _Object:
    """Returns the facts in which evaluations with the same settings can differ."""
    config = content["config"]
    found = {key: config.get(key) for key in (*_OF_PROGRAM, *_SEEDS)}
    found |= {key: content.get(key) for key in _OF_TASKS}
    return _given(found)


def _suffix(content: _Object, path: Path, time: datetime | None) -> str:
    """Returns a unique suffix: the date with microseconds, or else the file name and a digest."""
    if time is not None:
        return time_text(time)
    return f"{path.stem}-{short_digest(json.dumps(content, sort_keys=True))}"


def time_text(time: datetime) -> str:
    """Formats the time of an evaluation for the name of an arm."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _model(content: _Object) -> str:
    """Returns the name of the model. Some files have the name only in the model's arguments."""
    name = content.get("model_name")
    if isinstance(name, str) and name:
        return name
    arguments = _model_arguments(content["config"])
    names = [str(arguments[key]) for key in _MODEL_ARGUMENTS if arguments.get(key)]
    return (names or [str(content["config"].get("model") or "model")])[0]


def _model_arguments(config: _Object) -> _Object:
    """Returns the model's arguments. Some files have a string like `pretrained=m,dtype=float`."""
    arguments = config.get("model_args")
    if isinstance(arguments, dict):
        return arguments
    parts = [part.partition("=") for part in str(arguments or "").split(",")]
    return {key.strip(): value for key, sign, value in parts if sign}


def run_config_of(content: _Object, model: str, name: str) -> RunConfig:
    """Returns an evaluation's configuration: model, backend, and settings common to all tasks."""
    config = content["config"]
    left_out = {"model", "model_args", _SHOTS, *_OF_PROGRAM, *_SEEDS}
    kept = {key: value for key, value in config.items() if key not in left_out}
    prompts = {key: content.get(key) for key in PROMPTS}
    return RunConfig(
        name,
        model=ModelConfig(model),
        backend=Component(str(config.get("model") or ""), kept_values(_model_arguments(config))),
        eval=kept_values(_given(kept)),
        seed=seed_from(config.get("random_seed")),
        extras=kept_values(_given(prompts)),
    )


def _given(settings: _Object) -> _Object:
    return {key: value for key, value in settings.items() if value not in (None, {}, [], "")}


def evals_of(content: _Object, time: datetime | None) -> Iterator[EvalResult]:
    """Yields a row for each task and each group of tasks."""
    of_tasks = object_in(content, "results")
    for task, values in {**of_tasks, **object_in(content, "groups"), **of_tasks}.items():
        row = EvalResult(
            task,
            _benchmark(content, task),
            {**_metrics(values), **_sample_count(content, task)},
            _subtasks(content, task),
            tags=["test"],
        )
        row.event_time = time
        yield row


def _metrics(task: _Object) -> dict[str, float]:
    """Returns the metrics of a task. Strings are left out: they are labels, even if numeric."""
    values = {
        key: value for key, value in task.items() if not isinstance(value, str) and key != _COUNT
    }
    return {key.removesuffix(_NO_FILTER): value for key, value in numbers(values).items()}


def directions_of(content: _Object) -> dict[str, str]:
    """Returns `minimize` for each metric whose smaller values are better, such as perplexities."""
    better = object_in(content, "higher_is_better")
    return {
        f"{task}.{metric}": "minimize"
        for task, values in object_in(content, "results").items()
        for metric in _metrics(values)
        if object_in(better, task).get(metric.partition(",")[0]) is False
    }


def _benchmark(content: _Object, task: str) -> str | None:
    """Returns a benchmark_id: the task, its version, shots and generation settings.

    Returns None if only the name of the task is known.
    """
    version = object_in(content, "versions").get(task)
    settings = f"{'' if version is None else f'@{version}'}{_settings_of_task(content, task)}"
    return f"{task}{settings}" if settings else None


def _settings_of_task(content: _Object, task: str) -> str:
    """Returns the shots and the generation settings of a task, as a short string."""
    shots = object_in(content, "n-shot").get(task, content["config"].get("num_fewshot"))
    sampling = _sampling(_generation(content).get(task, {}))
    return f",{shots}-shot{sampling}" if isinstance(shots, int) else sampling


def _sampling(settings: _Object) -> str:
    """Returns a short string with the settings that differ from greedy decoding, except `until`."""
    kept = {key: value for key, value in settings.items() if value not in _GREEDY.get(key, (None,))}
    text = "".join(f",{key}={kept[key]}" for key in sorted(kept) if key != "until")
    return text if len(text) <= _MOST_SHOWN else f",{short_digest(text)}"


def _sample_count(content: _Object, task: str) -> dict[str, float]:
    """Returns the number of samples as `n_samples`.

    Returns an empty dict if the number is unknown, or differs among the metrics of a group.
    """
    count = numbers(object_in(object_in(content, "n-samples"), task)).get("effective")
    values = object_in(content, "results").get(task, {})
    by_metric = values.get(_COUNTS)
    count = number(values.get(_COUNT)) if count is None else count
    if count is None and isinstance(by_metric, dict):
        distinct = set(numbers(by_metric).values())
        count = distinct.pop() if len(distinct) == 1 else None
    return {} if count is None else {"n_samples": count}


def _subtasks(content: _Object, task: str) -> dict[str, Any]:
    """Returns the metrics of each task of an lm-eval group, by the name of the task.

    They are the breakdowns of the group's row. The result is empty if `task` is not a group.
    """
    names = object_in(content, "group_subtasks").get(task)
    results = object_in(content, "results")
    listed: list[Any] = names if isinstance(names, list) else []
    return {name: _metrics(results[name]) for name in listed if name in results}
