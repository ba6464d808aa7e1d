"""Reads the files of a W&B run, and converts the run to an arm."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium._interface.provenance import known
from podium._model.results import (
    ArmResult,
    ArmStatus,
    Component,
    EvalResult,
    Provenance,
    RunConfig,
    RunResult,
)
from podium._values.shorten_text import first_names
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import Found, FoundArm, NotImported
from podium.importing._rows import Logged, eval_and_metric, tags_of, with_last_rows
from podium.importing._values import (
    json_object,
    leaves,
    number,
    numbers,
    object_in,
    time_from_seconds,
    yaml_object,
)
from podium.importing.kinds.wandb._log import LogError, records

__all__ = ["METADATA", "SUMMARY", "read_run"]

SUMMARY = "wandb-summary.json"
METADATA = "wandb-metadata.json"
_OWN = frozenset({"_runtime", "_step", "_timestamp", "_wandb", "wandb_version"})
"""The keys that W&B itself adds to the history."""
_MAX_DEPTH = 64
_FACTS = ("entity", "notes", "sweep_id")
"""Facts in which runs of the same configuration can differ."""


@dataclass(slots=True)
class _Run:
    run_id: str
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    logged: Logged = field(default_factory=Logged)
    facts: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    provenance: Provenance | None = None
    exit_code: int | None = None
    seconds: float | None = None
    has_log: bool = False
    rows: int = 0
    not_numbers: Counter[str] = field(default_factory=Counter)


def read_run(run_id: str, files: list[Path]) -> Iterator[Found]:
    """Yields the arm of a run. The files must be in the order in which the run wrote them."""
    run = _Run(run_id)
    logs = [file for file in files if file.suffix == ".wandb"]
    for file in sorted(files, key=logs.__contains__):  # logs last: their values replace others
        try:
            _read(run, file)
        except (ValueError, OSError) as error:
            yield NotImported(str(file), str(error))
            if file in logs and not (isinstance(error, LogError) and run.has_log):
                return  # if only the end of the log is missing, its records are imported
    source = str((logs or files)[0])
    if not run.has_log:
        why = f"the run lacks its log ({run_id}.wandb), so its history and its exit are unknown"
        yield NotImported(source, why, is_wrong=False)
        if not _numbers(run.summary):
            return
    yield from _notes(run, source)
    arm = _arm(run)
    arm.provenance = run.provenance
    yield FoundArm(str(run.facts.get("project") or "wandb"), arm, source, run.logged.series())


def _read(run: _Run, file: Path) -> None:
    if file.suffix == ".wandb":
        for record in records(file):
            _take(run, record)
        if not run.has_log:
            raise ValueError("the log lacks the record that describes its run (`run`)")
    elif file.name == SUMMARY:
        run.summary |= json_object(file)
    elif file.name == METADATA:
        run.provenance = _provenance(json_object(file))
    else:
        for key, entry in yaml_object(file).items():
            if key not in _OWN:
                run.config[key] = entry.get("value") if isinstance(entry, dict) else entry


def _provenance(facts: Mapping[str, Any]) -> Provenance | None:
    given = facts.get("args")
    arguments: list[Any] = given if isinstance(given, list) else []
    command = [facts.get("codePath") or facts.get("program"), *arguments]
    commit = object_in(facts, "git").get("commit")
    return known(commit, command, facts.get("host"), facts.get("python"))


def _take(run: _Run, record: Any) -> None:
    if record.HasField("history"):
        _take_history(run, record.history)
    elif record.HasField("summary"):
        _change(run.summary, record.summary)
    elif record.HasField("config"):
        _change(run.config, record.config)
    elif record.HasField("run"):
        _change(run.config, record.run.config)
        _change(run.summary, record.run.summary)
        run.tags = list(record.run.tags)
        for name in ("project", "run_group", "job_type", "display_name", *_FACTS):
            run.facts[name] = getattr(record.run, name) or run.facts.get(name)
        run.run_id = record.run.run_id or run.run_id
        run.exit_code = None
        run.has_log = True
    elif record.HasField("exit"):
        run.exit_code = record.exit.exit_code
        run.seconds = (run.seconds or 0.0) + record.exit.runtime


def _take_history(run: _Run, history: Any) -> None:
    values: dict[str, Any] = {}
    for item in history.item:
        _set(values, item)
    step = history.step.num if history.HasField("step") else values.get("_step")
    if not isinstance(step, int):
        raise LogError("a row of the history has no step")
    run.rows += 1
    time = time_from_seconds(values.get("_timestamp"))
    for key, value in _leaves(values):
        found = number(value)
        if found is None:
            run.not_numbers[key] += 1
        else:
            run.logged.add(key, step, found, time)


def _change(target: dict[str, Any], changes: Any) -> None:
    """Applies a record that changes a configuration or a summary."""
    for item in changes.update:
        _set(target, item)
    for item in changes.remove:
        *above, last = _path(item)
        within = target
        for key in above:
            within = within.get(key, {}) if isinstance(within, dict) else {}
        if isinstance(within, dict):
            within.pop(last, None)


def _set(target: dict[str, Any], item: Any) -> None:
    *above, last = _path(item)
    for key in above:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        target = target[key]
    target[last] = _value(item)


def _path(item: Any) -> list[str]:
    path = list(item.nested_key) or [item.key]
    if len(path) > _MAX_DEPTH:
        raise LogError(f"{path[0]!r} is nested too deeply")
    return path


def _value(item: Any) -> Any:
    """Returns the value of an item. Recent versions of W&B have a field for each type of value."""
    for name in ("boolean", "integer", "number", "text"):
        if item.HasField(name):
            return getattr(item, name)
    text = item.json if item.HasField("json") else item.value_json
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as error:
        raise LogError(f"{_path(item)[-1]!r} has a value that is not JSON") from error


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the values that the user logged, with their keys. Does not split media objects."""
    return leaves({key: value for key, value in values.items() if key not in _OWN}, whole="_type")


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return numbers(dict(_leaves(values)))


def _notes(run: _Run, source: str) -> Iterator[NotImported]:
    """Yields items that list the keys whose values are not numbers, such as media and strings."""
    counts = run.not_numbers.items()
    in_history = [f"{key} ({count:,} of {run.rows:,} rows)" for key, count in counts]
    not_numbers = [key for key, value in _leaves(run.summary) if number(value) is None]
    in_summary = [key for key in not_numbers if key not in run.not_numbers]
    for place, keys in (("history", in_history), ("summary", in_summary)):
        if keys:
            count = "1 key" if len(keys) == 1 else f"{len(keys):,} keys"
            why = f"{count} of the {place} with values that are not numbers: {first_names(keys)}"
            yield NotImported(source, why, is_wrong=False)


def _arm(run: _Run) -> ArmResult:
    title = run.facts.get("display_name")
    name = f"{title}-{run.run_id}" if title else run.run_id
    status = _status(run)
    metrics, rows = _split_summary(run)
    in_loop = run.logged.rows()
    last = {row.name: row for row in in_loop}
    for row in rows:
        # The summary can have only the best value of a metric, under another key (`acc.max`).
        row.metrics = {**(last[row.name].metrics if row.name in last else {}), **row.metrics}
    is_finished = status == ArmStatus.COMPLETED
    # Before the end of a run, its summary only repeats the values that it logged last.
    evals = [*in_loop, *(row for row in rows if is_finished or row.name not in last)]
    error = f"the process ended with exit code {run.exit_code}" if run.exit_code else None
    return ArmResult(
        name,
        _run_config(run, name),
        status,
        {**run.logged.latest, **metrics},
        evals=with_last_rows(evals) if is_finished else evals,
        run_id=run.run_id,
        error=error,
        train_seconds=run.seconds,
        run_result=_run_result(run, status, error),
        group_name=run.facts.get("run_group"),
    )


def _status(run: _Run) -> ArmStatus:
    if not run.has_log:
        return ArmStatus.COMPLETED  # its files were written at its end
    if run.exit_code is None:
        return ArmStatus.RUNNING
    return ArmStatus.FAILED if run.exit_code else ArmStatus.COMPLETED


def _split_summary(run: _Run) -> tuple[dict[str, float], list[EvalResult]]:
    """Returns the training metrics of the summary, and its evals. The eval `test` comes first."""
    metrics: dict[str, float] = {}
    rows: dict[str, EvalResult] = {}
    time = time_from_seconds(run.summary.get("_timestamp"))
    for key, value in _numbers(run.summary).items():
        of_eval = eval_and_metric(key)
        if of_eval is None:
            metrics[key] = value
            continue
        row = rows.setdefault(of_eval[0], EvalResult(of_eval[0], tags=tags_of(of_eval[0])))
        row.metrics[of_eval[1]] = value
        row.event_time = time
    return metrics, sorted(rows.values(), key=lambda row: row.name != "test")


def _run_config(run: _Run, name: str) -> RunConfig:
    config = {key: value for key, value in run.config.items() if key not in _OWN}
    job_type = run.facts.get("job_type")
    return RunConfig(
        name,
        algorithm=Component("wandb", kept_values(config)),
        seed=seed_from(config.get("seed")),
        tags=run.tags,
        extras={"job_type": job_type} if job_type else {},
    )


def _run_result(run: _Run, status: ArmStatus, error: str | None) -> RunResult:
    facts = {key: run.facts[key] for key in _FACTS if run.facts.get(key)}
    return RunResult(run.run_id, str(status), error=error, extras=facts)
