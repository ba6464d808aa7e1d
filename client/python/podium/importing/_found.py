"""The protocol of importers, and the items that they yield."""

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

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
    "attempted",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Describes to which arm an import adds one evaluation of a model.

    An import joins the evaluations of a model with the same settings and seed to one arm.

    Attributes:
        places: The groups to which the joined arm can belong, each with the arm's configuration in
            that group. A group's name has the model and a digest of settings. The digest of the
            first group covers the settings that all tasks have in common. The digests of later
            groups also cover settings of single tasks. A group does not fit if its main arm has one
            of the evaluation's tasks with other settings. An import uses the first group that fits,
            or else the last group.
        id: A short id of the tool's run. If a task is evaluated again, the name of the second arm
            ends with it.
        key: The identity of the evaluation within its arm.
        facts: Other facts of the evaluation. The `run_result` of the joined arm lists them under
            `key`. The fact `seconds` is the duration.
    """

    places: tuple[tuple[str, RunConfig], ...]
    id: str
    key: str
    facts: dict[str, Any] = field(default_factory=dict)

    def arms_of_run(self) -> list[tuple[str, str]]:
        """Returns, for each place, its group and the name of an arm there for this run alone.

        The name ends with `id`. The arm need not exist.
        """
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
            arm with another `run_id` comes from another run, and cannot overwrite the recorded arm.
        evaluation: How an import joins the arm with arms of other files. None if it is not joined.
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
        directions: Which scores are better on other metrics: `maximize` or `minimize` by metric.
        parent: The name of the experiment that this one continues.
        conclusion: The conclusion of the experiment.
        tags: Labels: any strings.
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
        source: The file or folder, followed by `:LINE` if the reason is about one line. For an
            importer that cannot be loaded, its class and package.
        why: The reason, as a message for the user.
        is_wrong: True for a problem, False for data that is skipped on purpose, such as a copy.
        count: The number of lines or evaluations that the item is about.
    """

    source: str
    why: str
    is_wrong: bool = True
    count: int = 1


class Note(NamedTuple):
    """A remark about data that was imported.

    Attributes:
        source: The file, or the name of the experiment if the remark is about several files.
        text: The remark.
    """

    source: str
    text: str


def attempted(file: Path, read: Callable[[Path], _T]) -> Generator[NotImported, None, _T | None]:
    """Returns what `read` returns for a file. If it fails, yields the reason and returns None."""
    try:
        return read(file)
    except (ValueError, OSError) as error:
        yield NotImported(str(file), str(error))
        return None


Found: TypeAlias = FoundArm | FoundExperiment | NotImported


class Importer(Protocol):
    """Reads one kind of results.

    For the same source, an importer must always yield the same experiments and arms, wherever the
    source is and whatever files are next to it. Otherwise, a repeated import would record copies.
    """

    kind: str
    """The name of the kind, as in `--kind`."""
    summary: str
    """A short description of the files."""

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the paths that one call of `read(path)` reads: the path itself, or paths in it.

        Returns an empty list if the path is of another kind. To be quick, check names before
        contents.
        """

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the items of a path that `claims` accepted, or that the user gave with `--kind`.

        A bad file or line becomes a `NotImported` item, and the other files and lines are still
        read.

        Raises:
            ValueError: Nothing can be read. The message is the reason.
        """
