"""The logs of an experiment: `experiment.md`, and a folder of `logs/` for each arm.

What an arm has come to stands in its `conclusion.md`, in words; the exact numbers of its evals
in `logs/<split>/metrics.jsonl`, whose step 0 stands for none: the words say `step=None`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from podium._model.results import ArmResult, EvalResult, RunConfig
from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._values import numbers
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

_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_")
_FIELD = re.compile(r"- (hypothesis|status|conclusion|error): (.*)")
_EVAL = re.compile(r"- eval \*\*(.+)\*\* \((\w+), step=(None|-?\d+)\): (.*)")
_FILES = ("conclusion.md", "metrics.jsonl", "*/metrics.jsonl")
"""What an arm's logs have; without a conclusion it has not come to its end."""
_DIGITS = 4
"""How many digits the words have of a number."""


def is_one(path: Path) -> bool:
    """Whether a folder has the logs of an experiment."""
    return (path / "experiment.md").is_file() and bool(_arm_folders(path))


def read(path: Path) -> Iterator[Found]:
    """Reads the experiment and its arms."""
    name = _experiment_name(path)
    said = _fields(path / "experiment.md")
    yield FoundExperiment(
        name,
        str(path / "experiment.md"),
        hypothesis=text_or_none(said.get("hypothesis")),
        conclusion=text_or_none(said.get("conclusion")),
        metadata={"evsys": {"folder": path.resolve().name}},
    )
    for folder in _arm_folders(path):
        arm = yield from _arm(folder)
        yield FoundArm(name, arm, str(folder))


def _experiment_name(path: Path) -> str:
    """The folder's name: the time tells apart the experiments of one name."""
    name = path.resolve().name
    stamp = _STAMP.match(name)
    if stamp is None:
        return name
    return f"{name[stamp.end() :]}-{stamp[0].rstrip('_')}"


def _arm_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    logs = path.glob("*/logs")
    return sorted(found.parent for found in logs if any(any(found.glob(file)) for file in _FILES))


def _fields(file: Path) -> Mapping[str, str]:
    found = map(_FIELD.fullmatch, _lines(file))
    return {match[1]: match[2] for match in found if match}


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines() if file.is_file() else []


def _arm(folder: Path) -> Generator[Found, None, ArmResult]:
    logs = folder / "logs"
    said = _fields(logs / "conclusion.md")
    metrics, rows = yield from training_and_rows(logs / "metrics.jsonl")
    for file in sorted(logs.glob("*/metrics.jsonl")):
        _more, found = yield from training_and_rows(file)
        rows += found
    hypothesis = text_or_none(said.get("hypothesis"))
    return ArmResult(
        folder.name,
        RunConfig(folder.name, extras={"hypothesis": hypothesis} if hypothesis else {}),
        status_of(said.get("status")),
        metrics,
        evals=(yield from _told_evals(logs / "conclusion.md", rows)),
        error=text_or_none(said.get("error")),
    )


def _told_evals(file: Path, logged: list[EvalResult]) -> Generator[Found, None, list[EvalResult]]:
    """The evals that the words tell, with the exact numbers of the log; then the others."""
    rows, left = [], list(logged)
    for number, line in enumerate(_lines(file), start=1):
        match = _EVAL.fullmatch(line)
        if match is None:
            continue
        name, split, step, words = match.groups()
        told = numbers(dict(part.partition("=")[::2] for part in words.split(", ")))
        exact = next((row for row in left if row.name == split and _agree(row, told)), None)
        if exact is None:
            yield Left(
                f"{file}:{number}", "no log has its numbers: they stay rounded", is_wrong=False
            )
        else:
            left.remove(exact)
        metrics = told if exact is None else exact.metrics
        steps = None if step == "None" else int(step)
        rows.append(EvalResult(name, metrics=metrics, step=steps, tags=[split]))
    return [*rows, *merged(left)]


def _agree(row: EvalResult, told: Mapping[str, float]) -> bool:
    rounded = {key: round(value, _DIGITS) for key, value in row.metrics.items()}
    return rounded == told
