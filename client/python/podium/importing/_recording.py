"""Records the items that importers yield, and reports the outcome."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from podium import events
from podium._files.exports import latest_metrics
from podium._limits.batches import batches, record_all
from podium._limits.limits import DEFAULT_LIMITS
from podium.curves import points_by_step
from podium.errors import PodiumError, UnavailableError
from podium.importing._found import FoundArm, FoundExperiment, NotImported
from podium.importing._reading import places, read
from podium.importing._registry import broken_importers

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from podium import Client
    from podium._model.results import ArmResult
    from podium.importing._found import Found

__all__ = ["ArmCount", "ImportReport", "import_results"]


@dataclass(slots=True)
class ArmCount:
    """Counts the imported arms and eval rows of one experiment."""

    kind: str
    recorded: int = 0
    changed: int = 0
    unchanged: int = 0
    evals: int = 0


@dataclass(slots=True)
class ImportReport:
    """The outcome of an import.

    Attributes:
        experiments: By experiment: the number of recorded arms, how many of these replaced other
            results, the number of unchanged arms, and the number of eval rows of all of them.
        not_imported: The data that was not imported, with reasons.
    """

    experiments: dict[str, ArmCount] = field(default_factory=dict)
    not_imported: list[NotImported] = field(default_factory=list)

    @property
    def recorded(self) -> int:
        """Returns the number of arms that are new or have changed."""
        return sum(count.recorded for count in self.experiments.values())

    @property
    def changed(self) -> int:
        """Returns the number of recorded arms that replaced other results."""
        return sum(count.changed for count in self.experiments.values())

    @property
    def unchanged(self) -> int:
        """Returns the number of arms that were already recorded with the same results."""
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
    """Records every result under a path. Importing the same files again changes nothing.

    An arm is recorded as a whole and becomes equal to its source. If the source has not changed
    since the last import, rows that were recorded in between are kept.

    Args:
        client: The client to record with; None for a dry run, which records nothing.
        path: A file or folder.
        kind: The kind of all files; detected if not given.
        experiment: The experiment of all arms; the one in their source if not given.
        replace: Whether to overwrite arms that a trainer has recorded, or that have got rows since
            the last import.
        on_progress: Called with the number of finished places and their total, after each place.

    Raises:
        ValueError: The path does not exist, or the kind is not known.
        UnavailableError: The server cannot be reached; arms recorded before that remain.
    """
    found = places(Path(path), kind=kind)
    work = _Import(client, experiment, replace=replace)
    if kind is None:
        work.report.not_imported += map(_unloaded, broken_importers())
    for number, place in enumerate(found, start=1):
        for item in read(place):
            work.take(item, place.importer.kind)
        on_progress(number, len(found))
    return work.report


class _Import:
    """The state of a running import."""

    def __init__(self, client: Client | None, experiment: str | None, *, replace: bool) -> None:
        self._client = client
        self._experiment = experiment
        self._replace = replace
        self._declared: set[str] = set()
        self._existing: dict[str, set[str]] = {}
        self._imported: dict[tuple[str, str], FoundArm] = {}
        self.report = ImportReport()

    def take(self, found: Found, kind: str) -> None:
        """Imports one item, or notes why it cannot be imported."""
        if isinstance(found, NotImported):
            self.report.not_imported.append(found)
            return
        try:
            if isinstance(found, FoundExperiment):
                self._take_experiment(found)
            else:
                self._take_arm(found, kind)
        except UnavailableError:
            raise
        except (PodiumError, ValueError, TypeError) as error:
            self.report.not_imported.append(NotImported(found.source, _reason(error)))

    def _take_experiment(self, found: FoundExperiment) -> None:
        if self._experiment is not None:
            return  # the arms are recorded in another experiment than the described one
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

    def _declare(self, name: str, **settings: Any) -> None:
        if self._client is not None and (settings or name not in self._declared):
            self._client.experiment(name).declare(**settings)
        self._declared.add(name)

    def _take_arm(self, found: FoundArm, kind: str) -> None:
        experiment = self._experiment or found.experiment
        before = self._imported.setdefault((experiment, found.arm.name), found)
        if before is not found:
            self.report.not_imported.append(_duplicate(found, before))
            return
        self._declare(experiment)
        existed = found.arm.name in self._arms_of(experiment)
        is_recorded = self._record(experiment, found)
        count = self.report.experiments.setdefault(experiment, ArmCount(kind))
        count.recorded += is_recorded
        count.changed += is_recorded and existed
        count.unchanged += not is_recorded
        count.evals += len(found.arm.evals)

    def _arms_of(self, experiment: str) -> set[str]:
        """Returns the names of the arms that an experiment had before this import."""
        if self._client is None:
            return set()
        if experiment not in self._existing:
            arms = self._client.experiment(experiment).arms(page_size=DEFAULT_LIMITS.page_rows)
            self._existing[experiment] = {arm.name for arm in arms}
        return self._existing[experiment]

    def _record(self, experiment: str, found: FoundArm) -> bool:
        """Records an arm with its training series. Returns whether that changed anything."""
        arm = found.arm
        to_record = [events.arm_recorded(arm, replace=self._replace)]
        if self._client is None:
            return True
        for step, metrics in points_by_step(found.series.values()):
            to_record.append(events.metrics_recorded(arm.name, metrics, step=step))
        latest = latest_metrics(arm, found.series)
        if latest:
            to_record.append(events.metrics_recorded(arm.name, latest))
        for event in to_record:
            # The time of the import is not the time at which a row was measured.
            event.ClearField("event_time")
        client = self._client
        done = record_all(
            batches((found.source, event) for event in to_record),
            lambda batch: client.record(experiment, batch.events()),
        )
        return sum(result.changed_events for _, result in done) > 0


def _duplicate(found: FoundArm, before: FoundArm) -> NotImported:
    """Returns the reason why a second arm with the same name is not imported."""
    name = f"arm {found.arm.name!r}"
    if _with_sorted_rows(found.arm) == _with_sorted_rows(before.arm):
        return NotImported(
            found.source, f"{name} is the same as in {before.source}", is_wrong=False
        )
    why = f"{name} was read from {before.source}, with other results"
    return NotImported(
        found.source, f"{why}; import this one into another experiment (--experiment)"
    )


def _with_sorted_rows(arm: ArmResult) -> ArmResult:
    """Returns the arm with sorted rows, since a copy may list them in another order."""
    ordered = copy(arm)
    ordered.evals = sorted(
        arm.evals, key=lambda row: (row.name, row.step is not None, row.step or 0)
    )
    return ordered


def _unloaded(name: str) -> NotImported:
    place, why = broken_importers()[name]
    return NotImported(
        place, f"the importer {name!r} cannot be loaded, so its files are skipped: {why}"
    )


def _reason(error: Exception) -> str:
    if not isinstance(error, PodiumError):
        return str(error)
    message = error.refusals[0].message if error.refusals else error.message
    return f"{message} ({error.reason})" if error.reason else message
