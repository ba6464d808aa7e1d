"""What an import reads, sorted by what it is."""

from pathlib import Path
from typing import NamedTuple

import podium
from podium.importing import FoundArm, FoundExperiment, Left, read_results

__all__ = ["Results", "results"]


class Results(NamedTuple):
    """Everything that was found under a path; sources are relative to it."""

    arms: dict[str, podium.ArmResult]
    experiments: list[FoundExperiment]
    left: dict[str, str]
    wrong: set[str]


def results(path: Path) -> Results:
    """Reads everything under a path."""
    found = list(read_results(path))
    left = [item for item in found if isinstance(item, Left)]
    return Results(
        {item.arm.name: item.arm for item in found if isinstance(item, FoundArm)},
        [item for item in found if isinstance(item, FoundExperiment)],
        {item.source.removeprefix(f"{path}/"): item.why for item in left},
        {item.source.removeprefix(f"{path}/") for item in left if item.is_wrong},
    )
