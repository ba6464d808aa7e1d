"""Recording what importers find, and saying what became of it."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import events
from podium._limits.batches import batches, record_all
from podium._limits.limits import DEFAULT_LIMITS
from podium.errors import PodiumError, UnavailableError
from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._reading import places, read
from podium.importing._registry import broken_importers

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from podium import Client
    from podium._model.results import ArmResult
    from podium.importing._found import Found
    from podium.v1.event_pb2 import Event

__all__ = ["ArmCount", "ImportReport", "import_results"]


@dataclass(slots=True)
class ArmCount:
    """What became of the arms of one experiment."""

    kind: str
    recorded: int = 0
    changed: int = 0
    unchanged: int = 0
    evals: int = 0


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        experiments: The arms by experiment: how many were recorded, how many of these were there
            before with other results, how many were there as they are, and how many eval rows
            all of them have.
        left: What was not brought in, and why.
    """

    experiments: dict[str, ArmCount] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    @property
    def recorded(self) -> int:
        """How many arms are new or have changed."""
        return sum(count.recorded for count in self.experiments.values())

    @property
    def changed(self) -> int:
        """How many of the recorded arms were there before, with other results."""
        return sum(count.changed for count in self.experiments.values())

    @property
    def unchanged(self) -> int:
        """How many arms were there already."""
        return sum(count.unchanged for count in self.experiments.values())


def import_results(
    client: Client | None,
    path: str | os.PathLike[str],
    *,
    kind: str | None = None,
    experiment: str | None = None,
    replace: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Records every result under a path. To do it again changes nothing.

    An arm is recorded as a whole and becomes what its source says. One that was imported before
    and has not changed at its source stays as it is, with the rows that came since.

    Args:
        client: Where to record; None for a rehearsal, which records nothing.
        path: A file or folder.
        kind: The kind of everything there; found out if not given.
        experiment: The experiment that all arms go to; what their source says if not given.
        replace: Whether arms that a trainer has recorded, or that have got rows since the last
            import, become what their source says, too.
        on_progress: Told how many of how many places are done, after each of them.

    Raises:
        ValueError: There is nothing at the path, or no such kind.
        UnavailableError: The server cannot be reached; what was recorded until then is.
    """
    found = places(Path(path), kind=kind)
    work = _Import(client, experiment, replace=replace)
    if kind is None:
        work.report.left += map(_unloaded, broken_importers())
    for number, place in enumerate(found, start=1):
        for item in read(place):
            work.take(item, place.importer.kind)
        on_progress(number, len(found))
    return work.report


class _Import:
    """One import under way."""

    def __init__(self, client: Client | None, experiment: str | None, *, replace: bool) -> None:
        self._client = client
        self._experiment = experiment
        self._replace = replace
        self._declared: set[str] = set()
        self._there: dict[str, set[str]] = {}
        self._taken: dict[tuple[str, str], FoundArm] = {}
        self.report = ImportReport()

    def take(self, found: Found, kind: str) -> None:
        """Brings one thing in, or notes why not."""
        if isinstance(found, Left):
            self.report.left.append(found)
            return
        try:
            if isinstance(found, FoundExperiment):
                self._take_experiment(found)
            else:
                self._take_arm(found, kind)
        except UnavailableError:
            raise
        except (PodiumError, ValueError, TypeError) as error:
            self.report.left.append(Left(found.source, _text(error)))

    def _take_experiment(self, found: FoundExperiment) -> None:
        if self._experiment is not None:
            return  # what it says is not true of the experiment that its arms go to
        self._declare(
            found.name,
            hypothesis=found.hypothesis,
            success_metric=found.success_metric,
            direction=found.direction,
            parent=found.parent,
            tags=found.tags,
            metadata=found.metadata,
        )
        if found.conclusion and self._client is not None:
            self._client.record(found.name, [events.experiment_concluded(found.conclusion)])

    def _declare(self, name: str, **said: Any) -> None:
        if self._client is not None and (said or name not in self._declared):
            self._client.experiment(name).declare(**said)
        self._declared.add(name)

    def _take_arm(self, found: FoundArm, kind: str) -> None:
        experiment = self._experiment or found.experiment
        before = self._taken.setdefault((experiment, found.arm.name), found)
        if before is not found:
            self.report.left.append(_second(found, before))
            return
        event = events.arm_recorded(found.arm, replace=self._replace)
        # An import may be repeated: when it ran says nothing of when a row was measured.
        event.ClearField("event_time")
        self._declare(experiment)
        was_there = found.arm.name in self._arms_of(experiment)
        is_recorded = self._record(experiment, found.source, event)
        count = self.report.experiments.setdefault(experiment, ArmCount(kind))
        count.recorded += is_recorded
        count.changed += is_recorded and was_there
        count.unchanged += not is_recorded
        count.evals += len(found.arm.evals)

    def _arms_of(self, experiment: str) -> set[str]:
        """The names of the arms that an experiment had before this import."""
        if self._client is None:
            return set()
        if experiment not in self._there:
            arms = self._client.experiment(experiment).arms(page_size=DEFAULT_LIMITS.page_rows)
            self._there[experiment] = {arm.name for arm in arms}
        return self._there[experiment]

    def _record(self, experiment: str, source: str, event: Event) -> bool:
        """Records an arm; says whether that changed anything."""
        if self._client is None:
            return True
        client = self._client
        done = record_all(
            batches([(source, event)]), lambda batch: client.record(experiment, batch.events())
        )
        return sum(result.changed_events for _, result in done) > 0


def _second(found: FoundArm, before: FoundArm) -> Left:
    """Why the second arm of a name is left: as a copy, or since nobody knows which one is right."""
    name = f"arm {found.arm.name!r}"
    if _in_order(found.arm) == _in_order(before.arm):
        return Left(found.source, f"{name} is the same as in {before.source}", is_wrong=False)
    why = f"{name} was read from {before.source}, with other results"
    return Left(found.source, f"{why}; import this one into another experiment (--experiment)")


def _in_order(arm: ArmResult) -> ArmResult:
    """The arm with its rows in an order of their own: a copy may list them in another one."""
    kept = copy(arm)
    kept.evals = sorted(arm.evals, key=lambda row: (row.name, row.step is not None, row.step or 0))
    return kept


def _unloaded(name: str) -> Left:
    place, why = broken_importers()[name]
    return Left(place, f"the importer {name!r} cannot be loaded, so its files are left: {why}")


def _text(error: Exception) -> str:
    if not isinstance(error, PodiumError):
        return str(error)
    said = error.refusals[0].message if error.refusals else error.message
    return f"{said} ({error.reason})" if error.reason else said
