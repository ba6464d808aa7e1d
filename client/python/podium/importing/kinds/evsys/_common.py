"""Reads the parts that all kinds of evsys folders share."""

import re
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from podium._model.results import ArmStatus, EvalResult
from podium.importing._configs import step_from, unquoted
from podium.importing._found import Found, NotImported
from podium.importing._values import json_lines, numbers, time_from_seconds

__all__ = [
    "merged",
    "numbers_of",
    "status_of",
    "success_metric_of",
    "text_or_none",
    "training_and_rows",
]

_BEST = re.compile(r"Best arm: .+? at (?P<metric>[^=]+)=")

_TRAINING = frozenset({"", "train", "training"})
_NOTHING = frozenset({"", "None", "(none)", "null"})


def status_of(value: Any, error: str | None = None) -> ArmStatus:
    """Converts a status. Unknown statuses become FAILED if there is an error, otherwise RUNNING."""
    text = str(value or "").lower()
    if text in set(ArmStatus):
        return ArmStatus(text)
    return ArmStatus.RUNNING if error is None else ArmStatus.FAILED


def success_metric_of(conclusion: Any) -> str | None:
    """Returns the metric by which a conclusion names the best arm, or None if it names none."""
    found = _BEST.match(str(conclusion or ""))
    return found["metric"] if found else None


def text_or_none(value: Any) -> str | None:
    """Returns a value as a string. Returns None for None, and for strings such as `(none)`."""
    return None if value is None or str(value) in _NOTHING else str(value)


def numbers_of(values: Any, source: str) -> Generator[Found, None, dict[str, float]]:
    """Returns the values that are numbers. Yields a NotImported that lists the other keys."""
    given = values if isinstance(values, dict) else {}
    found = numbers(given)
    lost = [str(key) for key in given if key not in found]
    if lost:
        why = f"not imported, because they are not numbers: {', '.join(lost)}"
        yield NotImported(source, why, is_wrong=False)
    return found


def training_and_rows(
    file: Path,
) -> Generator[Found, None, tuple[dict[str, float], list[EvalResult]]]:
    """Reads `metrics.jsonl`. Returns the last value of each training metric, and the eval rows.

    A line has `step`, `split` and `metrics`. Each line of a split other than `train` becomes a row.
    """
    metrics: dict[str, float] = {}
    rows: list[EvalResult] = []
    if not file.is_file():
        return metrics, rows
    for number, line in json_lines(file):
        if isinstance(line, ValueError):
            yield NotImported(f"{file}:{number}", str(line))
            continue
        found = unquoted(line.get("metrics"))
        values = yield from numbers_of(found, f"{file}:{number}")
        split = str(line.get("split") or "")
        if split in _TRAINING:
            metrics |= values
        else:
            try:
                row = EvalResult(split, metrics=values, step=step_from(line.get("step")))
            except ValueError as error:
                yield NotImported(f"{file}:{number}", str(error))
                continue
            row.event_time = time_from_seconds(line.get("ts"))
            rows.append(row)
    return metrics, rows


def merged(rows: Iterable[EvalResult], source: Path) -> Generator[Found, None, list[EvalResult]]:
    """Merges rows of the same split and step. Keeps the last value of each metric."""
    found: dict[tuple[str, int | None], EvalResult] = {}
    replaced: Counter[tuple[str, int | None]] = Counter()
    for row in rows:
        place = row.name, row.step
        first = found.setdefault(place, row)
        if first is not row:
            replaced[place] += bool(first.metrics.keys() & row.metrics.keys())
        first.metrics |= row.metrics
        first.event_time = row.event_time
    for (name, step), count in replaced.items():
        if count:
            at = "without a step" if step is None else f"at step {step}"
            why = f"{name!r} was logged {count + 1:,} times {at}: the last values are kept"
            yield NotImported(str(source), why, is_wrong=False)
    return list(found.values())
