"""Reads the parts that all kinds of evsys folders share."""

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from podium._model.results import ArmStatus, EvalResult
from podium.importing._configs import step_from, unquoted
from podium.importing._found import Found, NotImported
from podium.importing._values import json_lines, numbers, time_from_seconds

__all__ = ["merged", "status_of", "text_or_none", "training_and_rows"]

_TRAINING = frozenset({"", "train", "training"})
_NOTHING = frozenset({"", "None", "(none)", "null"})


def status_of(value: Any) -> ArmStatus:
    """Converts a status. An unknown one becomes RUNNING."""
    text = str(value or "").lower()
    return ArmStatus(text) if text in set(ArmStatus) else ArmStatus.RUNNING


def text_or_none(value: Any) -> str | None:
    """Returns a value as text, or None for None and for texts that mean none."""
    return None if value is None or str(value) in _NOTHING else str(value)


def training_and_rows(
    file: Path,
) -> Generator[Found, None, tuple[dict[str, float], list[EvalResult]]]:
    """Reads `metrics.jsonl`. Returns the last value of each training metric, and in-loop rows.

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
        values = numbers(found) if isinstance(found, dict) else {}
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


def merged(rows: Iterable[EvalResult]) -> list[EvalResult]:
    """Merges rows of the same split and step. The last value of each metric is kept."""
    found: dict[tuple[str, int | None], EvalResult] = {}
    for row in rows:
        first = found.setdefault((row.name, row.step), row)
        first.metrics |= row.metrics
        first.event_time = row.event_time
    return list(found.values())
