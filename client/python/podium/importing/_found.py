"""What importers find, and what an importer is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from podium._model.results import ArmResult

__all__ = ["Found", "FoundArm", "FoundExperiment", "Importer", "Left"]


@dataclass(slots=True)
class FoundArm:
    """An arm that was read.

    Attributes:
        experiment: The experiment that it belongs to, as its source says.
        arm: The arm. Its rows may have an `event_time`, which is kept.
        source: The file or folder that it was read from.
    """

    experiment: str
    arm: ArmResult
    source: str


@dataclass(slots=True)
class FoundExperiment:
    """What a source says of an experiment; its arms are found apart from it.

    Attributes:
        name: The name of the experiment.
        source: The file that it was read from.
        hypothesis: What it was to find out.
        success_metric: The metric that its arms are compared by.
        direction: Which scores are better: `maximize` or `minimize`.
        parent: The name of the experiment that this one follows.
        conclusion: What was found out.
        tags: Free labels.
        metadata: Anything else worth keeping: JSON-like values by key.
    """

    name: str
    source: str
    hypothesis: str | None = None
    success_metric: str | None = None
    direction: str | None = None
    parent: str | None = None
    conclusion: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not brought in.

    Attributes:
        source: The file, with the number of the line where there is one.
        why: Why it was left, in words for whoever wants it in.
        is_wrong: Whether something is wrong with it; else it was left on purpose, as a copy is.
    """

    source: str
    why: str
    is_wrong: bool = True


Found: TypeAlias = FoundArm | FoundExperiment | Left


class Importer(Protocol):
    """Reads one kind of results.

    The same source gives the same names and the same arms every time, whatever lies beside it
    and wherever it was copied to: that is what makes an import safe to repeat.
    """

    kind: str
    """Its name, for `--kind`."""
    summary: str
    """What it reads, in a few words."""

    def claims(self, path: Path) -> Collection[Path]:
        """Returns what of a file or folder is of this kind, to be read by one `read`.

        Paths of the file or folder itself or inside it; nothing if it is not of this kind. It
        looks at names, and into files no further than it has to.
        """

    def read(self, path: Path) -> Iterator[Found]:
        """Reads what was claimed, or a file or folder that the user says is of this kind.

        What is wrong with one file or line is told as `Left`, and the rest goes on.

        Raises:
            ValueError: Nothing of it can be read; the text says why.
        """
