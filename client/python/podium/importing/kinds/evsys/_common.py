"""What the shapes of evsys folders have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium._model.results import ArmStatus, EvalResult
from podium.importing._configs import step_from, unquoted
from podium.importing._found import Left
from podium.importing._values import json_lines, numbers, time_from_seconds

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["merged", "status_of", "text_or_none", "training_and_rows"]

_TRAINING = frozenset({"", "train", "training"})
_NOTHING = frozenset({"", "None", "(none)", "null"})


def status_of(said: Any) -> ArmStatus:
    """Reads a status; one that is not known has not come to an end."""
    text = str(said or "").lower()
    return ArmStatus(text) if text in set(ArmStatus) else ArmStatus.RUNNING


def text_or_none(said: Any) -> str | None:
    """Reads a text; what says nothing is none."""
    return None if said is None or str(said) in _NOTHING else str(said)


def training_and_rows(
    file: Path,
) -> Generator[Found, None, tuple[dict[str, float], list[EvalResult]]]:
    """Reads `metrics.jsonl`: the last value of each training metric, and the in-loop rows.

    A line has `step`, `split` and `metrics`; the splits other than `train` are evals, with a row
    for each line.
    """
    metrics: dict[str, float] = {}
    rows: list[EvalResult] = []
    if not file.is_file():
        return metrics, rows
    for line, said in json_lines(file):
        if isinstance(said, ValueError):
            yield Left(f"{file}:{line}", str(said))
            continue
        told = unquoted(said.get("metrics"))
        values = numbers(told) if isinstance(told, dict) else {}
        split = str(said.get("split") or "")
        if split in _TRAINING:
            metrics |= values
        else:
            try:
                row = EvalResult(split, metrics=values, step=step_from(said.get("step")))
            except ValueError as error:
                yield Left(f"{file}:{line}", str(error))
                continue
            row.event_time = time_from_seconds(said.get("ts"))
            rows.append(row)
    return metrics, rows


def merged(rows: Iterable[EvalResult]) -> list[EvalResult]:
    """Makes one row of those of one split and step: a metric's last value counts."""
    found: dict[tuple[str, int | None], EvalResult] = {}
    for row in rows:
        first = found.setdefault((row.name, row.step), row)
        first.metrics |= row.metrics
        first.event_time = row.event_time
    return list(found.values())
