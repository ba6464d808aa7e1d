"""Holds what a runner reports against what it was asked for."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Cell", "Verdict", "judge"]


class Cell(NamedTuple):
    """One case of a file, gone through in one way."""

    file: str
    way: str
    case: str


@dataclass
class Verdict:
    """What became of a runner's cells: of each (file, way), how many there are and agree."""

    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    agreed: Counter[tuple[str, str]] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    """What disagreed, is missing, or was not asked for."""


def judge(printed: str, asked: Iterable[Cell]) -> Verdict:
    """Judges the lines that a runner printed.

    A cell counts as agreeing only if it was reported exactly once, with `"ok": true`.
    """
    verdict = Verdict()
    reports: dict[Cell, list[str]] = {cell: [] for cell in sorted(asked)}
    for line in filter(str.strip, printed.splitlines()):
        _note(line, reports, verdict)
    for cell, found in reports.items():
        place = (cell.file, cell.way)
        verdict.asked[place] += 1
        if found == [""]:
            verdict.agreed[place] += 1
        else:
            verdict.complaints.append(f"{_named(cell)}: {_complaint(found)}")
    return verdict


def _complaint(reports: list[str]) -> str:
    if len(reports) > 1:
        return f"reported {len(reports)} times"
    return reports[0] if reports else "not reported"


def _note(line: str, reports: dict[Cell, list[str]], verdict: Verdict) -> None:
    try:
        report = json.loads(line)
        cell = Cell(report["file"], report["way"], report["case"])
        agrees, detail = report["ok"] is True, str(report["detail"])
    except (ValueError, TypeError, KeyError):
        verdict.complaints.append(f"not a report: {line}")
        return
    if cell in reports:
        reports[cell].append("" if agrees else detail or "disagrees")
    else:
        verdict.complaints.append(f"{_named(cell)}: was not asked for")


def _named(cell: Cell) -> str:
    return f"{cell.file}, {cell.way}, {cell.case!r}"
