"""What the runners are asked to do, and what they must report on."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.judging import Cell
from tests.conformance.languages import PROJECT

__all__ = [
    "VECTORS",
    "Entry",
    "exchange_cells",
    "exchange_entries",
    "limits_of",
    "vector_cells",
    "vector_entries",
]

Entry = dict[str, Any]
"""An entry of a plan."""

_FOLDER = PROJECT / "tests" / "vectors"

VECTORS = tuple(
    file for kind in ("rank", "reads", "writes") for file in sorted(_FOLDER.glob(f"{kind}*.json"))
)
"""The files of vectors."""

_EXCHANGED = _FOLDER / "exchange.json"


def limits_of(file: Path) -> dict[str, int]:
    """The limits that the server of a file is started with; empty for the usual ones."""
    limits: dict[str, int] = _read(file).get("limits", {})
    return limits


def vector_entries(address_of: Mapping[Path, str]) -> list[Entry]:
    """The entries of a plan that ask for the vectors, with the address of each file's server."""
    return [{"file": str(file), "address": address_of[file]} for file in VECTORS]


def vector_cells() -> set[Cell]:
    """What a runner must report on the vectors."""
    return {
        Cell(file.name, way, case["name"])
        for file in VECTORS
        for way in (("wire", "pure") if file.name.startswith("reads") else ("wire",))
        for case in _read(file)["cases"]
    }


def exchange_entries(what: str, languages: Iterable[str], address: str) -> list[Entry]:
    """The entries of a plan that write the exchanged arms, or read those of other languages."""
    return [
        {"exchange": what, "address": address, "experiment": _experiment(language), "arm": arm}
        for language in languages
        for arm in _arms()
    ]


def exchange_cells(what: str, languages: Iterable[str]) -> set[Cell]:
    """What a runner must report on the exchanged arms."""
    return {
        Cell("exchange", what, f"{_experiment(language)}/{arm['name']}")
        for language in languages
        for arm in _arms()
    }


def _experiment(language: str) -> str:
    return f"exchange/{language}"


def _arms() -> list[Any]:
    arms: list[Any] = _read(_EXCHANGED)["arms"]
    return arms


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))
