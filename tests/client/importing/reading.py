"""Sorts the items that an import reads by their type."""

from pathlib import Path
from typing import NamedTuple

import podium
from podium.importing import FoundArm, FoundExperiment, NotImported, read_results

__all__ = ["Results", "results"]


class Results(NamedTuple):
    """All items found under a path. Sources are relative to the path."""

    arms: dict[str, podium.ArmResult]
    experiments: list[FoundExperiment]
    not_imported: dict[str, str]
    wrong: set[str]


def results(path: Path) -> Results:
    """Reads all items under a path, and sorts them by their type."""
    found = list(read_results(path))
    not_imported = [item for item in found if isinstance(item, NotImported)]
    return Results(
        {item.arm.name: item.arm for item in found if isinstance(item, FoundArm)},
        [item for item in found if isinstance(item, FoundExperiment)],
        {item.source.removeprefix(f"{path}/"): item.why for item in not_imported},
        {item.source.removeprefix(f"{path}/") for item in not_imported if item.is_wrong},
    )
