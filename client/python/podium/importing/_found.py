"""The protocol of importers, and the items that they yield."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from podium._model.results import ArmResult, RunConfig
from podium.curves import Series
from podium.importing._identities import name_with_seed

__all__ = [
    "Evaluation",
    "Found",
    "FoundArm",
    "FoundExperiment",
    "Importer",
    "NotImported",
    "Note",
]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The place of an arm that is one evaluation of a model.

    An import joins the evaluations of a model with the same settings and seed to one arm.

    Attributes:
        places: The groups that the joined arm can have, with its configuration there. The name of a
            group has the model and a digest of the settings: first of those of the call, and then
            also of those of its tasks. The first group is used whose arm does not have one of the
            tasks with other settings.
        id: A short text for the run of the tool. The arm of a repetition ends with it.
        key: The identity of the evaluation within its arm.
        facts: Other facts of the evaluation. The `run_result` of the joined arm has them by key.
            `seconds` is the duration.
    """

    places: tuple[tuple[str, RunConfig], ...]
    id: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)

    def arms_of_run(self) -> list[tuple[str, str]]:
        """Returns the group and the name of each arm that ends with the id."""
        return [
            (group, f"{name_with_seed(group, config.seed)}-{self.id}")
            for group, config in self.places
        ]


@dataclass(slots=True)
class FoundArm:
    """An arm that was read from a source.

    Attributes:
        experiment: The name of its experiment in the source.
        arm: The arm. The `event_time` of its rows is kept.
        source: The file or folder that it was read from.
        series: The training series of the arm, by key.
        run_may_change: Whether a later import of the same run can have another `run_id`. If not, an
            arm with another `run_id` is of another run, and does not overwrite the recorded arm.
        evaluation: The place of an arm that an import joins with others.
    """

    experiment: str
    arm: ArmResult
    source: str
    series: dict[str, Series] = field(default_factory=dict)
    run_may_change: bool = False
    evaluation: Evaluation | None = None


@dataclass(slots=True)
class FoundExperiment:
    """An experiment that was read from a source. Its arms are separate items.

    Attributes:
        name: The name of the experiment.
        source: The file that it was read from.
        hypothesis: The hypothesis that it tests.
        success_metric: The metric by which its arms are ranked.
        direction: Which scores are better: `maximize` or `minimize`.
        directions: For other metrics, which scores are better: `maximize` or `minimize` by metric.
        parent: The name of the experiment that this one continues.
        conclusion: The conclusion of the experiment.
        tags: Free labels.
        metadata: Other data: JSON-like values by key.
    """

    name: str
    source: str
    hypothesis: str | None = None
    success_metric: str | None = None
    direction: str | None = None
    directions: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    conclusion: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotImported:
    """A file, line or importer whose data was not imported.

    Attributes:
        source: The file, followed by `:LINE` if one line is concerned.
        why: The reason, as a text for the user.
        is_wrong: True for a problem, False for data that is skipped on purpose, such as a copy.
        count: The number of lines, if the item stands for several.
    """

    source: str
    why: str
    is_wrong: bool = True
    count: int = 1


class Note(NamedTuple):
    """A remark about data that was imported.

    Attributes:
        source: The file.
        text: The remark.
    """

    source: str
    text: str


Found: TypeAlias = FoundArm | FoundExperiment | NotImported


class Importer(Protocol):
    """Reads one kind of results.

    The names and arms of a source must not depend on its location or on the files next to it. So an
    import can be repeated safely.
    """

    kind: str
    """The name of the kind, as in `--kind`."""
    summary: str
    """A short description of the files."""

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the path itself or paths inside it, if one call of `read(path)` reads them.

        Returns an empty list if the path is of another kind. To be quick, check names before
        contents.
        """

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the items of a claimed path, or of a path given with `--kind`.

        A bad file or line becomes a `NotImported` item, and the rest is still read.

        Raises:
            ValueError: Nothing can be read. The message is the reason.
        """
