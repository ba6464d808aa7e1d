"""Records the items that importers yield, and reports the outcome."""

import os
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import NamedTuple

from podium import Client, events
from podium._files.exports import latest_metrics
from podium._limits.batches import batches, record_all
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.results import ArmResult, EvalResult
from podium._values.base import same
from podium._values.enums import Direction
from podium.curves import points_by_step
from podium.errors import NotFoundError, PodiumError, UnavailableError
from podium.importing._detecting import GivenMapping, places, read
from podium.importing._found import Found, FoundArm, FoundExperiment, Note, NotImported
from podium.importing._identities import within_limit
from podium.importing._joining import join
from podium.importing._registry import broken_importers
from podium.importing._report import ArmCount, ImportReport
from podium.scoring import direction_metadata
from podium.v1.event_pb2 import Event

__all__ = ["import_results"]


def import_results(
    client: Client,
    path: str | os.PathLike[str],
    *,
    kind: str | None = None,
    mapping: GivenMapping | None = None,
    experiment: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Records every result under a path. Importing the same files again changes nothing.

    An arm becomes equal to its source. Eval rows that the source lacks, such as rows that were
    recorded by hand, are kept.

    Args:
        client: The client to record with.
        path: A file or folder.
        kind: The kind of all files, such as `wandb`; detected if not given.
        mapping: For the kind `csv`, the column or columns for each field, such as
            `{"arm": "model", "metric": ["acc", "f1"]}`.
        experiment: The experiment in which all arms are recorded. By default, each arm's source
            names its experiment.
        replace: Whether to overwrite arms that a training run has recorded or that were imported
            from another run, and to delete eval rows that the source lacks.
        dry_run: Whether to read everything and report what an import would change, but record
            nothing. If an arm needs several calls, the server checks only the first of them.
        on_progress: Called after an importer has read a file or folder. The arguments are the
            number of files and folders read so far, and the number of all of them.

    Raises:
        ValueError: The path does not exist, the kind is not known, or the mapping is not valid.
        UnavailableError: The server cannot be reached; arms recorded before that remain.
    """
    work = _Import(_Target(client, dry_run=dry_run), experiment, replace=replace)
    others = work.report.other_files
    found = places(
        Path(path),
        kind=kind,
        mapping=mapping,
        on_other_file=lambda file: others.update([file.suffix or file.name]),
    )
    if kind is None and mapping is None:
        work.report.not_imported += map(_unloaded, broken_importers())
    for number, place in enumerate(found, start=1):
        for item in read(place):
            work.take(item, place.importer.kind)
        on_progress(number, len(found))
    work.record_evaluations()
    return work.report


class _Target:
    """Sends the events of an import. With `dry_run`, the server checks but does not store them."""

    def __init__(self, client: Client, *, dry_run: bool) -> None:
        self._client = client
        self._dry_run = dry_run
        self._declared: set[str] = set()
        self._existing: dict[str, set[str]] = {}

    def existing_arm(self, experiment: str, name: str) -> ArmResult | None:
        """Returns an arm that was recorded before this import, or None."""
        if name not in self.existing_names(experiment):
            return None
        return self._client.arm(experiment, name).get()

    def existing_names(self, experiment: str) -> set[str]:
        """Returns the names of the arms that were recorded before this import."""
        if experiment not in self._existing:
            self._existing[experiment] = set(self._arm_names(experiment))
        return self._existing[experiment]

    def _arm_names(self, experiment: str) -> Iterator[str]:
        arms = self._client.experiment(experiment).arms(page_size=DEFAULT_LIMITS.page_rows)
        try:
            yield from (arm.name for arm in arms.stream())
        except NotFoundError:
            return

    def send(self, experiment: str, to_record: list[Event]) -> bool:
        """Records events, in several calls if needed. Returns whether they changed anything.

        With `dry_run`, returns whether the first call would change anything.
        """
        if experiment not in self._declared:
            to_record = [events.experiment_declared(), *to_record]
        to_send = batches(("", event) for event in to_record)
        if self._dry_run:
            # The server cannot check the other calls, because they need the recorded arm.
            first = to_send[0].events()
            return self._client.record(experiment, first, validate_only=True).changed_events > 0
        done = record_all(to_send, lambda batch: self._client.record(experiment, batch.events()))
        changed = sum(result.changed_events for _, result in done) > 0
        self._declared.add(experiment)
        return changed


class _Recorded(NamedTuple):
    """The arms that an experiment had before an import; no arms if the import replaces them."""

    target: _Target
    experiment: str
    is_replaced: bool

    def names(self) -> set[str]:
        return set() if self.is_replaced else self.target.existing_names(self.experiment)

    def arm(self, name: str) -> ArmResult | None:
        return None if self.is_replaced else self.target.existing_arm(self.experiment, name)


class _Import:
    def __init__(self, target: _Target, experiment: str | None, *, replace: bool) -> None:
        self._target = target
        self._experiment = experiment
        self._replace = replace
        self._imported: dict[tuple[str, str], FoundArm] = {}
        self._evaluations: dict[tuple[str, str], list[FoundArm]] = {}
        self.report = ImportReport()

    def take(self, found: Found, kind: str) -> None:
        """Records one item, or keeps it for `record_evaluations` if it is an evaluation.

        If an item cannot be imported, adds the reason to the report.
        """
        if isinstance(found, NotImported):
            self.report.not_imported.append(found)
        elif isinstance(found, FoundArm) and found.evaluation is not None:
            experiment = self._experiment or found.experiment
            self._evaluations.setdefault((experiment, kind), []).append(found)
        else:
            self._record(found, kind)

    def record_evaluations(self) -> None:
        """Joins evaluations to arms, and records them. To be called after all files are read."""
        for (experiment, kind), found in self._evaluations.items():
            try:
                self._join(experiment, kind, found)
            except UnavailableError:
                raise
            except (PodiumError, ValueError) as error:
                why = f"{len(found):,} evaluations are not imported: {_reason(error)}"
                self.report.not_imported.append(NotImported(experiment, why, count=len(found)))

    def _join(self, experiment: str, kind: str, found: list[FoundArm]) -> None:
        recorded = _Recorded(self._target, experiment, self._replace)
        arms, copies = 0, 0
        for item in join(found, recorded):
            if isinstance(item, FoundArm):
                arms += 1
                self._record(item, kind)
            elif isinstance(item, Note):
                self.report.notes.append(item)
            else:
                copies += 1
                self.report.not_imported.append(item)
        count = len(found) - copies
        if arms < count:
            became = "1 arm" if arms == 1 else f"{arms:,} arms"
            text = f"{count:,} evaluations became {became}, by model and settings"
            self.report.notes.append(Note(experiment, text))

    def _record(self, found: FoundArm | FoundExperiment, kind: str) -> None:
        try:
            if isinstance(found, FoundExperiment):
                self._take_experiment(found)
            else:
                self._take_arm(found, kind)
        except UnavailableError:
            raise
        except (PodiumError, ValueError, TypeError, RecursionError) as error:
            self.report.not_imported.append(NotImported(found.source, _reason(error)))

    def _take_experiment(self, found: FoundExperiment) -> None:
        directions = direction_metadata(found.directions)
        if self._experiment is not None:
            # The arms are recorded in another experiment than the described one.
            if directions:
                self._target.send(
                    self._experiment, [events.experiment_declared(metadata=directions)]
                )
            return
        declaration = events.experiment_declared(
            hypothesis=found.hypothesis,
            success_metric=found.success_metric,
            direction=None if found.direction is None else Direction(found.direction),
            parent=found.parent,
            tags=found.tags,
            metadata={**found.metadata, **directions},
        )
        conclusion = [events.experiment_concluded(found.conclusion)] if found.conclusion else []
        self._target.send(found.name, [declaration, *conclusion])

    def _take_arm(self, found: FoundArm, kind: str) -> None:
        arm = self._with_names_in_limit(found)
        experiment = self._experiment or found.experiment
        before = self._imported.setdefault((experiment, arm.name), found)
        if before is not found:
            self.report.not_imported.append(_duplicate(found, before))
            return
        existing = self._target.existing_arm(experiment, arm.name)
        to_record = self._arm_events(arm, found, existing)
        is_recorded = self._target.send(experiment, [*to_record, *_series_events(arm, found)])
        count = self.report.experiments.setdefault(experiment, ArmCount(kind))
        count.recorded += is_recorded
        count.unchanged += not is_recorded
        count.evals += len(arm.evals)
        if is_recorded and existing is not None:
            count.changed.append(arm.name)

    def _with_names_in_limit(self, found: FoundArm) -> ArmResult:
        """Returns the arm of an item. Shortens names over the limit, such as paths of models."""
        arm = copy(found.arm)
        arm.group_name = arm.group_name and within_limit(arm.group_name)
        arm.name = within_limit(arm.name)
        if arm.name != found.arm.name:
            arm.run_config = copy(arm.run_config)
            arm.run_config.extras = {**arm.run_config.extras, "name": found.arm.name}
            arm.run_config.name = arm.name
            text = (
                "its name is too long, so the arm is named "
                f"{arm.name!r}; the extras have the whole name"
            )
            self.report.notes.append(Note(found.source, text))
        return arm

    def _arm_events(
        self, arm: ArmResult, found: FoundArm, existing: ArmResult | None
    ) -> list[Event]:
        """Returns the event that records an arm, or an empty list if that would change nothing."""
        if existing is None or self._replace:
            return [_untimed(events.arm_recorded(arm, replace=self._replace))]
        if not found.run_may_change:
            _check_same_run(arm, existing)
        if existing.attempt is not None and _has_results_of(existing, arm):
            return []
        others = _other_rows(arm, existing)
        if others:
            arm = copy(arm)
            arm.evals = [*arm.evals, *others]
            if _comparable(arm) == _comparable(existing):
                return []
        return [_untimed(events.arm_recorded(arm))]


def _series_events(arm: ArmResult, found: FoundArm) -> Iterator[Event]:
    for step, metrics in points_by_step(found.series.values()):
        yield _untimed(events.metrics_recorded(arm.name, metrics, step=step))
    latest = latest_metrics(arm, found.series)
    if latest:
        yield _untimed(events.metrics_recorded(arm.name, latest))


def _untimed(event: Event) -> Event:
    """Removes the time of an event: it is the time of the import, not of a measurement."""
    event.ClearField("event_time")
    return event


def _check_same_run(arm: ArmResult, existing: ArmResult) -> None:
    if arm.run_id and existing.run_id and arm.run_id != existing.run_id:
        raise ValueError(
            f"arm {arm.name!r} of {existing.experiment!r} was imported from another run "
            f"({existing.run_id}), and not from this one ({arm.run_id}); import this run into "
            "another experiment (--experiment), or overwrite the arm (--replace)"
        )


def _has_results_of(existing: ArmResult, arm: ArmResult) -> bool:
    """Returns whether a recorded arm has the run_id, status and results of an arm from a source."""
    rows = {(row.name, row.step): row.metrics for row in existing.evals}
    return (
        (existing.run_id, existing.status) == (arm.run_id, arm.status)
        and all(same(rows.get((row.name, row.step)), row.metrics) for row in arm.evals)
        and all(same(existing.metrics.get(key), value) for key, value in arm.metrics.items())
    )


def _other_rows(arm: ArmResult, existing: ArmResult) -> list[EvalResult]:
    """Returns the eval rows of an existing arm that the source of the import lacks."""
    of_source = {(row.name, row.step) for row in arm.evals}
    return [row for row in existing.evals if (row.name, row.step) not in of_source]


def _comparable(arm: ArmResult) -> ArmResult:
    """Returns an arm without the fields that a server derives, and with sorted rows."""
    found = _with_sorted_rows(arm)
    if found.evals:
        found.eval_metrics, found.eval_breakdowns = {}, {}
    return found


def _duplicate(found: FoundArm, before: FoundArm) -> NotImported:
    """Returns the reason why a second arm with the same name is not imported."""
    name = f"arm {found.arm.name!r}"
    if _with_sorted_rows(found.arm) == _with_sorted_rows(before.arm):
        return NotImported(
            found.source, f"{name} is the same as in {before.source}", is_wrong=False
        )
    why = f"{name} was read from {before.source}, with other results"
    return NotImported(
        found.source, f"{why}; import this arm into another experiment (--experiment)"
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
    if isinstance(error, RecursionError):
        return "the data is nested too deeply"
    if not isinstance(error, PodiumError):
        return str(error)
    message = error.refusals[0].message if error.refusals else error.message
    return f"{message} ({error.reason})" if error.reason else message
