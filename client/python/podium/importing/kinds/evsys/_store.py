"""The local store: `experiments/<id>/` and `generations/<id>/`, linked by ids.

Names are not unique in a store, ids are: an experiment's name gets the first part of its id,
and so does a second arm of a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium._model.results import ArmResult, EvalResult
from podium.importing._configs import run_config_from, seed_from, step_from, unquoted
from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._values import json_lines, json_object, number, numbers, time_from_seconds
from podium.importing.kinds.evsys._common import (
    merged,
    status_of,
    text_or_none,
    training_and_rows,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["is_one", "read"]

_ID_LENGTH = 8
_OWN = ("id", "experiment_name", "hypothesis", "tags", "status", "conclusion")
_LINKS = ("generation_id", "recipe_kind", "_created_at", "_updated_at")

_Said = dict[str, Any]


def is_one(path: Path) -> bool:
    """Whether a folder is a store, or what is left of one."""
    return any(
        (path / folder).is_dir() and any((path / folder).glob(f"*/{file}"))
        for folder, file in (
            ("experiments", "experiment.json"),
            ("generations", "generation.json"),
        )
    )


def read(path: Path) -> Iterator[Found]:
    """Reads the experiments, then the generations, which are their arms."""
    names: dict[str, str] = {}
    groups: dict[str, str] = {}
    for file in sorted(path.glob("experiments/*/experiment.json")):
        said = yield from _object(file)
        if said is not None:
            identity = str(said.get("id") or file.parent.name)
            names[identity] = _unique(text_or_none(said.get("experiment_name")), identity)
            yield _experiment(names[identity], said, file)
            groups |= yield from _groups(file.with_name("groups.jsonl"))
    yield from _arms(path, names, groups)


def _object(file: Path) -> Generator[Found, None, _Said | None]:
    """Reads an object; None, and why, where there is none."""
    try:
        return json_object(file)
    except ValueError as error:
        yield Left(str(file), str(error))
        return None


def _unique(name: str | None, identity: str) -> str:
    return f"{name or 'experiment'}-{identity[:_ID_LENGTH]}"


def _experiment(name: str, said: _Said, file: Path) -> FoundExperiment:
    rest = {key: value for key, value in said.items() if key not in _OWN and value is not None}
    tags = unquoted(said.get("tags"))
    return FoundExperiment(
        name,
        str(file),
        hypothesis=text_or_none(said.get("hypothesis")),
        conclusion=text_or_none(said.get("conclusion")),
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [],
        metadata={"evsys": {"id": said.get("id"), "name": said.get("experiment_name"), **rest}},
    )


def _groups(file: Path) -> Generator[Found, None, dict[str, str]]:
    """Reads the names of groups by id."""
    groups: dict[str, str] = {}
    if file.is_file():
        for line, said in json_lines(file):
            if isinstance(said, ValueError):
                yield Left(f"{file}:{line}", str(said))
            elif said.get("id") is not None:
                groups[str(said["id"])] = str(said.get("name") or said["id"])
    return groups


def _arms(path: Path, names: Mapping[str, str], groups: Mapping[str, str]) -> Iterator[Found]:
    found: list[tuple[Path, _Said]] = []
    for file in sorted(path.glob("generations/*/generation.json")):
        said = yield from _object(file)
        if said is not None:
            found.append((file, said))
    # The first one of a name has the name, also when others come later.
    found.sort(key=lambda item: number(item[1].get("_created_at")) or 0.0)
    taken: set[tuple[str, str]] = set()
    for file, said in found:
        identity = str(said.get("experiment_id") or "")
        experiment = names.get(identity) or _unique(None, identity or "unknown")
        yield from _arm(file, said, experiment, groups, taken)


def _arm(
    file: Path,
    said: _Said,
    experiment: str,
    groups: Mapping[str, str],
    taken: set[tuple[str, str]],
) -> Iterator[Found]:
    identity = str(said.get("id") or file.parent.name)
    extras = {key: said[key] for key in _LINKS if said.get(key) is not None}
    config = run_config_from(said.get("run_config"), identity, evsys=extras or None)
    config.seed = seed_from(said.get("seed")) if config.seed is None else config.seed
    name = config.name
    if (experiment, name) in taken:
        name = _unique(name, identity)
    taken.add((experiment, name))
    metrics, rows = yield from training_and_rows(file.with_name("metrics.jsonl"))
    evals = yield from _evals(file.with_name("evals.jsonl"))
    group = text_or_none(said.get("group_id"))
    arm = ArmResult(
        name,
        config,
        status_of(said.get("status")),
        metrics,
        evals=[*evals, *merged(rows)],
        run_id=identity,
        error=text_or_none(said.get("error_message")),
        group_id=group,
        group_name=groups.get(group or "", group),
    )
    yield FoundArm(experiment, arm, str(file))


def _evals(file: Path) -> Generator[Found, None, list[EvalResult]]:
    """Reads the eval rows; of two with one identity the later one counts, as it was appended."""
    rows: dict[tuple[str, int | None], tuple[int, EvalResult]] = {}
    if not file.is_file():
        return []
    for line, said in json_lines(file):
        if isinstance(said, ValueError):
            yield Left(f"{file}:{line}", str(said))
            continue
        try:
            row = _row(said)
        except (ValueError, TypeError) as error:  # a step or breakdowns that cannot be
            yield Left(f"{file}:{line}", str(error))
            continue
        before = rows.get((row.name, row.step))
        if before is not None:
            why = f"eval {row.name!r} was recorded again in line {line}"
            yield Left(f"{file}:{before[0]}", why, is_wrong=False)
        rows[row.name, row.step] = (line, row)
    return [row for _line, row in rows.values()]


def _row(said: _Said) -> EvalResult:
    benchmark = text_or_none(said.get("benchmark_id"))
    metrics, breakdowns = unquoted(said.get("metrics")), unquoted(said.get("breakdowns"))
    row = EvalResult(
        text_or_none(said.get("name")) or benchmark or "eval",
        benchmark,
        numbers(metrics) if isinstance(metrics, dict) else {},
        breakdowns if isinstance(breakdowns, dict) else {},
        step=step_from(said.get("step")),
        tags=["test"] if said.get("split") == "test" else [],
    )
    row.event_time = time_from_seconds(said.get("_created_at"))
    return row
