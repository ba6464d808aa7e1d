"""The local store: `experiments/<id>/` and `generations/<id>/`, linked by ids.

Names are not unique in a store, but ids are. The name of an experiment gets the first part of the
experiment's id as a suffix. If two arms have the same name, the name of the later arm gets the
first part of that arm's id as a suffix.
"""

from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from podium._model.results import ArmResult, EvalResult, RunResult
from podium.importing._configs import run_config_from, seed_from, step_from, unquoted
from podium.importing._found import Found, FoundArm, FoundExperiment, NotImported, attempted
from podium.importing._values import (
    head,
    is_torn_object,
    json_lines,
    json_object,
    number,
    time_from_seconds,
)
from podium.importing.kinds.evsys._common import (
    merged,
    numbers_of,
    status_of,
    success_metric_of,
    text_or_none,
    training_and_rows,
)

__all__ = ["is_one", "read"]

_ID_LENGTH = 8
_OWN = ("id", "experiment_name", "hypothesis", "tags", "status", "conclusion")
_MARKS = (b'"experiment_name"', b'"experiment_id"', b'"run_config"', b'"_created_at"')
"""Keys by which the files of a store are recognized. Other tools use the same file names."""
_TIMES = ("_created_at", "_updated_at")

_Object = dict[str, Any]


def is_one(path: Path) -> bool:
    """Returns whether a folder is a store. It may have only experiments or only generations."""
    return any(
        _is_record(file)
        for pattern in ("experiments/*/experiment.json", "generations/*/generation.json")
        for file in path.glob(pattern)
    )


def _is_record(file: Path) -> bool:
    """Returns whether a file begins like a file of a store. The file may be empty or cut off."""
    begin = head(file)
    return is_torn_object(begin) or any(mark in begin for mark in _MARKS)


def read(path: Path) -> Iterator[Found]:
    """Yields the experiments, then the generations as their arms."""
    names: dict[str, str] = {}
    groups: dict[str, str] = {}
    for file in sorted(path.glob("experiments/*/experiment.json")):
        content = yield from attempted(file, json_object)
        if content is not None:
            identity = str(content.get("id") or file.parent.name)
            names[identity] = _unique(text_or_none(content.get("experiment_name")), identity)
            yield _experiment(names[identity], content, file)
            groups |= yield from _groups(file.with_name("groups.jsonl"))
    yield from _arms(path, names, groups)


def _unique(name: str | None, identity: str) -> str:
    return f"{name or 'experiment'}-{identity[:_ID_LENGTH]}"


def _experiment(name: str, content: _Object, file: Path) -> FoundExperiment:
    rest = {key: value for key, value in content.items() if key not in _OWN and value is not None}
    tags = unquoted(content.get("tags"))
    return FoundExperiment(
        name,
        str(file),
        hypothesis=text_or_none(content.get("hypothesis")),
        success_metric=success_metric_of(content.get("conclusion")),
        conclusion=text_or_none(content.get("conclusion")),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        metadata={
            "evsys": {"id": content.get("id"), "name": content.get("experiment_name"), **rest}
        },
    )


def _groups(file: Path) -> Generator[Found, None, dict[str, str]]:
    """Reads `groups.jsonl`. Returns the name of each group by the group's id."""
    groups: dict[str, str] = {}
    if file.is_file():
        for line, group in json_lines(file):
            if isinstance(group, ValueError):
                yield NotImported(f"{file}:{line}", str(group))
            elif group.get("id") is not None:
                groups[str(group["id"])] = str(group.get("name") or group["id"])
    return groups


def _arms(path: Path, names: Mapping[str, str], groups: Mapping[str, str]) -> Iterator[Found]:
    found: list[tuple[Path, _Object]] = []
    for file in sorted(path.glob("generations/*/generation.json")):
        content = yield from attempted(file, json_object)
        if content is not None:
            found.append((file, content))
    # The earliest arm with a name keeps the name, even if a later import adds others.
    found.sort(key=lambda item: number(item[1].get("_created_at")) or 0.0)
    taken: set[tuple[str, str]] = set()
    for file, content in found:
        identity = str(content.get("experiment_id") or "")
        experiment = names.get(identity) or _unique(None, identity or "unknown")
        yield from _arm(file, content, experiment, groups, taken)


def _arm(
    file: Path,
    content: _Object,
    experiment: str,
    groups: Mapping[str, str],
    taken: set[tuple[str, str]],
) -> Iterator[Found]:
    identity = str(content.get("id") or file.parent.name)
    config = run_config_from(
        content.get("run_config"), identity, recipe_kind=content.get("recipe_kind")
    )
    config.seed = seed_from(content.get("seed")) if config.seed is None else config.seed
    name = config.name
    if (experiment, name) in taken:
        name = _unique(name, identity)
    taken.add((experiment, name))
    metrics, rows = yield from training_and_rows(file.with_name("metrics.jsonl"))
    evals = yield from _evals(file.with_name("evals.jsonl"))
    group = text_or_none(content.get("group_id"))
    error = text_or_none(content.get("error_message"))
    arm = ArmResult(
        name,
        config,
        status_of(content.get("status"), error),
        metrics,
        evals=[*evals, *(yield from merged(rows, file.with_name("metrics.jsonl")))],
        run_id=identity,
        error=error,
        run_result=_run_result(content, identity),
        group_id=group,
        group_name=groups.get(group or "", group),
    )
    yield FoundArm(experiment, arm, str(file))


def _run_result(content: _Object, identity: str) -> RunResult:
    """Returns the facts about a run that may differ between runs of the same configuration."""
    times = {key: content[key] for key in _TIMES if content.get(key) is not None}
    return RunResult(identity, str(content.get("status") or ""), extras=times)


def _evals(file: Path) -> Generator[Found, None, list[EvalResult]]:
    """Reads the eval rows.

    Keeps the last row of each name and step. Unnamed rows with different ids get different names.
    """
    rows: dict[tuple[str, int | None], tuple[int, str, EvalResult]] = {}
    if not file.is_file():
        return []
    for line, values in json_lines(file):
        source = f"{file}:{line}"
        if isinstance(values, ValueError):
            yield NotImported(source, str(values))
            continue
        try:
            row = yield from _row(values, source)
        except (ValueError, TypeError) as error:  # an invalid step or invalid breakdowns
            yield NotImported(source, str(error))
            continue
        identity = str(values.get("id") or "")
        before = rows.get((row.name, row.step))
        is_unnamed = not (values.get("name") or values.get("benchmark_id"))
        if before is not None and is_unnamed and identity not in ("", before[1]):
            row.name = _unique(row.name, identity)
            before = rows.get((row.name, row.step))
        if before is not None:
            why = f"eval {row.name!r} was recorded again in line {line}"
            yield NotImported(f"{file}:{before[0]}", why, is_wrong=False)
        rows[row.name, row.step] = (line, identity, row)
    return [row for _line, _identity, row in rows.values()]


def _row(values: _Object, source: str) -> Generator[Found, None, EvalResult]:
    benchmark = text_or_none(values.get("benchmark_id"))
    breakdowns = unquoted(values.get("breakdowns"))
    row = EvalResult(
        text_or_none(values.get("name")) or benchmark or "eval",
        benchmark,
        (yield from numbers_of(unquoted(values.get("metrics")), source)),
        breakdowns if isinstance(breakdowns, dict) else {},
        step=step_from(values.get("step")),
        tags=["test"] if values.get("split") == "test" else [],
    )
    row.event_time = time_from_seconds(values.get("_created_at"))
    return row
