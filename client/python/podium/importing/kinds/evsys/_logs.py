"""The logs of an experiment: `experiment.md`, and a folder with `logs/` for each arm.

The `conclusion.md` of an arm has its status, and its evals with rounded numbers. The exact numbers
are in `logs/<split>/metrics.jsonl`. Step 0 in a `metrics.jsonl` can mean that there is no step.
`conclusion.md` then has `step=None`.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from podium._model.results import ArmResult, EvalResult, RunConfig
from podium.importing._found import Found, FoundArm, FoundExperiment, NotImported
from podium.importing._values import head, numbers, text_of
from podium.importing.kinds.evsys._common import (
    merged,
    status_of,
    success_metric_of,
    text_or_none,
    training_and_rows,
)

__all__ = ["is_one", "read"]

_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_")
_FIELD = re.compile(r"- (hypothesis|status|conclusion|error): (.*)")
_MARK = re.compile(rb"^- (?:hypothesis|conclusion): ", re.MULTILINE)
_EVAL = re.compile(r"- eval \*\*(.+)\*\* \((\w+), step=(None|-?\d+)\): (.*)")
_FILES = ("conclusion.md", "metrics.jsonl", "*/metrics.jsonl")
"""The files by which the logs of an arm are recognized. A running arm has no `conclusion.md`."""
_DIGITS = 4
"""The number of decimals in `conclusion.md`."""


def is_one(path: Path) -> bool:
    """Returns whether a folder has the logs of an evsys experiment."""
    description = path / "experiment.md"
    if not (description.is_file() and _MARK.search(head(description))):
        return False
    return bool(_arm_folders(path))


def read(path: Path) -> Iterator[Found]:
    """Yields the experiment and its arms."""
    name = _experiment_name(path)
    fields = _fields(path / "experiment.md")
    yield FoundExperiment(
        name,
        str(path / "experiment.md"),
        hypothesis=text_or_none(fields.get("hypothesis")),
        success_metric=success_metric_of(fields.get("conclusion")),
        conclusion=text_or_none(fields.get("conclusion")),
        metadata={"evsys": {"folder": path.resolve().name}},
    )
    for folder in _arm_folders(path):
        arm = yield from _arm(folder)
        yield FoundArm(name, arm, str(folder))


def _experiment_name(path: Path) -> str:
    """Returns the folder's name, with a time at its beginning moved to the end."""
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
    return text_of(file).splitlines() if file.is_file() else []


def _arm(folder: Path) -> Generator[Found, None, ArmResult]:
    logs = folder / "logs"
    fields = _fields(logs / "conclusion.md")
    metrics, rows = yield from training_and_rows(logs / "metrics.jsonl")
    for file in sorted(logs.glob("*/metrics.jsonl")):
        _more, found = yield from training_and_rows(file)
        rows += found
    hypothesis = text_or_none(fields.get("hypothesis"))
    error = text_or_none(fields.get("error"))
    return ArmResult(
        folder.name,
        RunConfig(folder.name, extras={"hypothesis": hypothesis} if hypothesis else {}),
        status_of(fields.get("status"), error),
        metrics,
        evals=(yield from _concluded_evals(logs / "conclusion.md", rows)),
        error=error,
    )


def _concluded_evals(
    file: Path, logged: list[EvalResult]
) -> Generator[Found, None, list[EvalResult]]:
    """Returns the evals of `conclusion.md`, then the other logged rows.

    The exact numbers of the logs replace the rounded ones of the file.
    """
    rows, unmatched = [], list(logged)
    for number, line in enumerate(_lines(file), start=1):
        match = _EVAL.fullmatch(line)
        if match is None:
            continue
        name, split, step, words = match.groups()
        rounded = numbers(dict(part.partition("=")[::2] for part in words.split(", ")))
        exact = next(
            (row for row in unmatched if row.name == split and _matches(row, rounded)), None
        )
        if exact is None:
            yield NotImported(
                f"{file}:{number}",
                "no log has the exact numbers, so the rounded ones are imported",
                is_wrong=False,
            )
        else:
            unmatched.remove(exact)
        metrics = rounded if exact is None else exact.metrics
        steps = None if step == "None" else int(step)
        rows.append(EvalResult(name, metrics=metrics, step=steps, tags=[split]))
    return [*rows, *(yield from merged(unmatched, file.parent))]


def _matches(row: EvalResult, rounded: Mapping[str, float]) -> bool:
    return rounded == {key: round(value, _DIGITS) for key, value in row.metrics.items()}
