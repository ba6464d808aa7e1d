"""Shows an experiment, or an arm with one row of each eval.

The row is the post-training row (STEP `post`), or else the in-loop row with the greatest
step. With --json an arm has all of its rows.

Examples:
  podium show rank_sweep
  podium show rank_sweep lora_rank4
  podium show rank_sweep lora_rank4 --json > lora_rank4.json
"""

import argparse
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from podium import (
    ArmCounts,
    ArmResult,
    Client,
    EvalResult,
    Experiment,
    Provenance,
    RunConfig,
    scoring,
)
from podium._files import json_form
from podium._values.base import same
from podium.cli import _format
from podium.cli._arguments import add_experiment
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["add_arguments", "run"]

_NOTHING: tuple[Any, ...] = (None, [], {}, "")
_HEADERS = ("EVAL", ">ROWS", ">STEP", "TAGS", "~METRICS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument("arm", metavar="ARM", nargs="?", help="the name of an arm")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows the experiment or the arm."""
    if arguments.arm is None:
        experiment = client.experiment(arguments.experiment).get()
        if console.as_json:
            console.json(json_form.to_json(experiment))
        else:
            console.fields(_experiment_fields(experiment))
        return Exit.OK
    arm = client.arm(arguments.experiment, arguments.arm).get()
    if console.as_json:
        console.json(json_form.to_json(arm))
    else:
        _show_arm(arm, console)
    return Exit.OK


def _experiment_fields(experiment: Experiment) -> Iterator[tuple[str, str]]:
    yield "experiment", experiment.name
    yield "status", experiment.status
    yield "hypothesis", experiment.hypothesis or ""
    yield "success metric", experiment.success_metric or ""
    yield "direction", experiment.direction or ""
    yield "parent", experiment.parent or ""
    yield "tags", " ".join(experiment.tags)
    yield "arms", _counts(experiment.arm_counts)
    yield from _values("metadata", json_form.to_json(experiment)["metadata"])
    yield "conclusion", experiment.conclusion or ""
    yield "created", _format.moment(experiment.create_time)
    yield "updated", f"{_format.moment(experiment.update_time)}, revision {experiment.revision}"


def _counts(counts: ArmCounts) -> str:
    parts = [f"{count:,} {status}" for status, count in vars(counts).items() if count]
    return f"{counts.total:,}" + (f": {', '.join(parts)}" if parts else "")


def _show_arm(arm: ArmResult, console: Console) -> None:
    console.fields(_arm_fields(arm))
    if arm.evals:
        console.line()
        console.table(map(_answer_row, _by_name(arm.evals).values()), *_HEADERS)


def _arm_fields(arm: ArmResult) -> Iterator[tuple[str, str]]:
    yield "arm", f"{arm.name} of {arm.experiment}"
    yield "status", arm.status
    yield "last heard", _format.last_heard(arm)
    yield "group", " ".join(filter(None, (arm.group_name, arm.group_id and f"({arm.group_id})")))
    yield "notes", (arm.annotations and arm.annotations.notes) or ""
    yield "tags", " ".join(arm.tags)
    yield "run id", arm.run_id or ""
    yield "attempt", f"{arm.attempt.id} (order {arm.attempt.order})" if arm.attempt else ""
    yield from _provenance_fields(arm.provenance)
    yield from _config_fields(arm.run_config)
    yield "training metrics", _format.metrics(arm.metrics)
    yield "eval metrics", _eval_metrics(arm)
    yield from _run_result_fields(arm)
    yield "training time", _format.duration(arm.train_seconds)
    yield "eval time", _format.duration(arm.eval_seconds)
    yield "error", arm.error or ""
    yield "created", _format.moment(arm.create_time)
    yield "updated", f"{_format.moment(arm.update_time)}, revision {arm.revision}"


def _eval_metrics(arm: ArmResult) -> str:
    """Formats the eval metrics of an arm. Adds the primary eval's name if it has these metrics."""
    shown, row = _format.metrics(arm.eval_metrics), scoring.primary(arm.evals)
    if not shown or row is None or not same(row.metrics, arm.eval_metrics):
        return shown
    return f"{shown}  ({row.name}{'' if row.step is None else f' at step {row.step}'})"


def _provenance_fields(given: Provenance | None) -> Iterator[tuple[str, str]]:
    """Yields the commit, command, host and versions of the newest attempt."""
    if given is None:
        return
    changed = {True: "", False: ", with uncommitted changes", None: ", unknown changes"}
    commit = given.git_commit
    yield "git commit", f"{commit}{changed[given.git_clean]}" if commit else ""
    yield "command", shlex.join(given.command_line)
    yield "host", given.host or ""
    versions = {"python": given.python_version or "", **given.packages}
    yield "versions", ", ".join(f"{name} {number}" for name, number in versions.items() if number)


def _run_result_fields(arm: ArmResult) -> Iterator[tuple[str, str]]:
    """Yields the parts of the training backend's result, with one line for each artifact."""
    if arm.run_result is None:
        return
    parts = json_form.to_json(arm.run_result)
    artifacts = sorted(parts.pop("artifacts", {}).items())
    yield "artifacts", "\n".join(f"{name}: {place}" for name, place in artifacts)
    yield from _values("run result", parts)


def _config_fields(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Returns the parts of the configuration that are set.

    Leaves out its tags, because the arm's tags include them.
    """
    parts = json_form.to_json(config)
    parts.pop("tags")
    return _values("config", parts)


def _without_unset(value: Any) -> Any:
    """Returns a JSON-like value without those keys of its objects that have an empty value."""
    if not isinstance(value, dict):
        return value
    parts = {key: _without_unset(part) for key, part in value.items()}
    return {key: part for key, part in parts.items() if part not in _NOTHING}


def _values(label: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        found = _without_unset(value)
        yield f"{label} {key}", "" if found in _NOTHING else _format.value(found)


def _by_name(rows: list[EvalResult]) -> dict[str, list[EvalResult]]:
    names: dict[str, list[EvalResult]] = {}
    for row in rows:
        names.setdefault(row.name, []).append(row)
    return names


def _answer_row(rows: list[EvalResult]) -> tuple[str, ...]:
    row = scoring.find_eval(rows, rows[0].name, None) or rows[0]
    return (
        row.name,
        f"{len(rows):,}",
        _format.step(row.step),
        " ".join(row.tags),
        _format.metrics(row.metrics),
    )
