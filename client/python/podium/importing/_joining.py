"""Joins the evaluations of a model to one arm, since some tools write a file for each task.

An arm has one result for each task. The first evaluation of a task is in the main arm of the model.
A second one becomes another arm. That arm is in the same group if the settings of the task are the
same, and otherwise in another group.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from podium._limits.limits import DEFAULT_LIMITS
from podium._model.results import ArmResult, ArmStatus, EvalResult, RunConfig, RunResult
from podium._values.base import same
from podium._values.shorten_text import first_names
from podium.importing._configs import kept_values
from podium.importing._found import Evaluation, FoundArm, Note, NotImported
from podium.importing._identities import name_with_seed
from podium.importing._values import number

__all__ = ["RecordedArms", "join"]

_EVALUATIONS = "evaluations"
_LAST = datetime.max.replace(tzinfo=UTC)


class RecordedArms(Protocol):
    """The arms of an experiment that were recorded before an import."""

    def names(self) -> Collection[str]:
        """Returns the names of the arms."""

    def arm(self, name: str) -> ArmResult | None:
        """Returns an arm, or None if there is none of this name."""


class _Part(NamedTuple):
    """An arm that was read from a file, with its evaluation."""

    found: FoundArm
    evaluation: Evaluation

    @property
    def rows(self) -> list[EvalResult]:
        return self.found.arm.evals


@dataclass(slots=True)
class _Joined:
    """An arm, and the evaluations that belong to it."""

    name: str
    group: str
    config: RunConfig
    existing: ArmResult | None = None
    parts: list[_Part] = field(default_factory=list)
    rows: dict[str, EvalResult] = field(default_factory=dict)

    def holds(self, part: _Part) -> bool:
        """Returns whether the arm already has an evaluation.

        Compares each row of the evaluation with the arm's row of the same eval. If such rows have
        times, at least one pair must have equal times. Otherwise, the arm must have all rows of the
        evaluation, with equal metrics.
        """
        pairs = [(self.rows[row.name], row) for row in part.rows if row.name in self.rows]
        dated = [(a.event_time, b.event_time) for a, b in pairs if a.event_time and b.event_time]
        if dated:
            return any(a == b for a, b in dated)
        return len(pairs) == len(part.rows) and all(same(a.metrics, b.metrics) for a, b in pairs)

    def lacks(self, part: _Part) -> bool:
        """Returns whether the evaluation can be added: the arm has no row for any of its evals.

        Returns False if the arm was recorded by a training run, not by an import.
        """
        is_import = self.existing is None or self.existing.attempt is None
        return is_import and not any(row.name in self.rows for row in part.rows)

    def other_tasks(self, part: _Part) -> list[str]:
        """Returns the tasks of the evaluation that the arm has with other settings."""
        pairs = [(self.rows[row.name], row) for row in part.rows if row.name in self.rows]
        return [row.name for before, row in pairs if before.benchmark_id != row.benchmark_id]

    def add(self, part: _Part) -> None:
        self.parts.append(part)
        self.rows.update({row.name: row for row in part.rows})


def join(
    found: Iterable[FoundArm], recorded: RecordedArms
) -> Iterator[FoundArm | NotImported | Note]:
    """Yields the arms to which the evaluations of one experiment are joined.

    Also yields a `NotImported` for each copy of an evaluation, and a `Note` on each evaluation that
    is not in the main arm. A recorded evaluation stays in its arm, so a repeated import changes
    nothing. If a task has several new evaluations, the earliest one is in the main arm.
    """
    families = _Families(recorded)
    for each in sorted(found, key=_order):
        if each.evaluation is None or each.arm.name in recorded.names():
            yield each
        elif each.arm.status != ArmStatus.COMPLETED or not each.arm.evals:
            yield _without_results(each, each.evaluation, recorded)
        elif (copy := families.add(_Part(each, each.evaluation))) is not None:
            yield copy
    yield from families.notes()
    yield from map(_found_arm, families.with_parts())


def _without_results(
    found: FoundArm, evaluation: Evaluation, recorded: RecordedArms
) -> FoundArm | NotImported:
    """Returns the arm of an evaluation without results.

    Returns a NotImported instead if the process that evaluated has already recorded the evaluation.
    """
    name = evaluation.arms_of_run()[0][1]
    existing = recorded.arm(name)
    if existing is None or existing.attempt is None or existing.status != found.arm.status:
        return found
    return NotImported(found.source, f"it is recorded already, as {name!r}", is_wrong=False)


def _order(found: FoundArm) -> tuple[datetime, str, str]:
    times = [row.event_time for row in found.arm.evals if row.event_time]
    return min(times, default=_LAST), found.arm.name, found.source


class _Families:
    """The families of an import. A family is the arms of the same model, settings and seed.

    The first arm of a family is the main arm.
    """

    def __init__(self, recorded: RecordedArms) -> None:
        self._recorded = recorded
        self._families: dict[str, list[_Joined]] = {}
        self._placed: list[tuple[_Part, _Joined, _Joined]] = []

    def add(self, part: _Part) -> NotImported | None:
        """Adds an evaluation to its arm.

        Returns a NotImported instead if another file of this import has the same evaluation.
        """
        families = [self._family(*place, part) for place in part.evaluation.places]
        arms = [arm for family in families for arm in family]
        arm = next((arm for arm in arms if _is_in(arm, part)), None)
        if arm is None:
            fitting = (family for family in families if not family[0].other_tasks(part))
            arm = _place(part, next(fitting, families[-1]))
        elif (copy := _copy_of(part, arm)) is not None:
            return copy
        self._placed.append((part, families[0][0], arm))
        arm.add(part)
        return None

    def notes(self) -> Iterator[Note]:
        """Yields a note on each evaluation that is not in the main arm, with the reason."""
        for placed in self._placed:
            yield from _notes(*placed)

    def _family(self, group: str, config: RunConfig, part: _Part) -> list[_Joined]:
        main = name_with_seed(group, config.seed)
        if main not in self._families:
            repeats = sorted(name for name in self._recorded.names() if name.startswith(f"{main}-"))
            arms = [self._joined(name, group, config) for name in (main, *repeats)]
            self._families[main] = [arms[0], *(arm for arm in arms[1:] if _has_seed(arm, part))]
        return self._families[main]

    def _joined(self, name: str, group: str, config: RunConfig) -> _Joined:
        existing = self._recorded.arm(name)
        rows = {} if existing is None else {r.name: r for r in existing.evals if r.step is None}
        return _Joined(name, group, config, existing, rows=rows)

    def with_parts(self) -> Iterator[_Joined]:
        """Yields the arms to which this import adds evaluations."""
        return (arm for family in self._families.values() for arm in family if arm.parts)


def _has_seed(arm: _Joined, part: _Part) -> bool:
    """Returns whether an arm was recorded before this import, with the seed of the evaluation."""
    existing = arm.existing
    return existing is not None and existing.run_config.seed == part.found.arm.run_config.seed


def _is_in(arm: _Joined, part: _Part) -> bool:
    is_recorded = arm.existing is not None and arm.existing.attempt is not None
    return arm.holds(part) or (is_recorded and arm.name.endswith(f"-{part.evaluation.id}"))


def _place(part: _Part, family: list[_Joined]) -> _Joined:
    """Returns the first arm of a family to which an evaluation can be added.

    If there is none, adds a new arm to the family, and returns it.
    """
    arm = next((arm for arm in family if arm.lacks(part)), None)
    if arm is None:
        name = f"{family[0].name}-{part.evaluation.id}"
        is_taken = any(arm.name == name for arm in family)
        name = part.found.arm.name if is_taken else name
        arm = _Joined(name, family[0].group, family[0].config)
        family.append(arm)
    return arm


def _copy_of(part: _Part, arm: _Joined) -> NotImported | None:
    """Returns a NotImported if another file of this import has the same evaluation, else None."""
    names = {row.name for row in part.rows}
    before = next((p for p in arm.parts if names.intersection(row.name for row in p.rows)), None)
    if before is None:
        return None
    why = f"the same evaluation as in {before.found.source}"
    if _content(before) == _content(part):
        return NotImported(part.found.source, why, is_wrong=False)
    why += ", with other results; import this file into another experiment (--experiment)"
    return NotImported(part.found.source, why)


def _content(part: _Part) -> tuple[RunConfig, dict[str, EvalResult]]:
    return part.evaluation.places[0][1], {row.name: row for row in part.rows}


def _notes(part: _Part, main: _Joined, arm: _Joined) -> Iterator[Note]:
    """Yields a note if an evaluation is not in the main arm because that arm has its tasks."""
    names = [row.name for row in part.rows if row.name in main.rows]
    if arm is main or not names:
        return
    others = main.other_tasks(part)
    how = "with other settings" if others else "with the same settings"
    tasks = first_names([repr(name) for name in others or names], 1)
    text = f"{main.name!r} has {tasks} {how}, so this file is the arm {arm.name!r}"
    yield Note(part.found.source, text)


def _found_arm(joined: _Joined) -> FoundArm:
    """Returns a joined arm as an item, with the rows of all its evaluations."""
    first, existing = joined.parts[0], joined.existing
    source = first.found.source
    if (
        existing is not None
        and existing.attempt is not None
        and all(map(joined.holds, joined.parts))
    ):
        return FoundArm(first.found.experiment, existing, source, run_may_change=True)
    evaluations = _evaluations(joined)
    arm = ArmResult(
        joined.name,
        existing.run_config if existing else replace(joined.config, name=joined.name),
        ArmStatus.COMPLETED,
        evals=_rows(joined),
        run_id=existing.run_id if existing else first.found.arm.run_id,
        eval_seconds=_seconds(evaluations),
        run_result=RunResult(joined.name, "completed", extras={_EVALUATIONS: evaluations}),
        group_name=joined.group,
    )
    arm.provenance = (existing and existing.provenance) or first.found.arm.provenance
    return FoundArm(first.found.experiment, arm, source, run_may_change=True)


def _rows(joined: _Joined) -> list[EvalResult]:
    """Returns the rows of the evaluations. Rows that are recorded already keep their order."""
    rows = {row.name: row for part in joined.parts for row in part.rows}
    recorded = joined.existing.evals if joined.existing else []
    names = dict.fromkeys([*(row.name for row in recorded if row.name in rows), *rows])
    return [rows[name] for name in names]


def _evaluations(joined: _Joined) -> dict[str, Any]:
    """Returns the facts of each evaluation, by the key of the evaluation.

    If they have more than half of the values that an arm can store, returns only the durations.
    """
    result = joined.existing and joined.existing.run_result
    before = result.extras.get(_EVALUATIONS) if result else None
    depth = DEFAULT_LIMITS.value_depth - 2  # the facts are inside two maps: extras, and this one
    new = {e.key: kept_values(e.facts, depth) for _, e in joined.parts}
    found = {**(before if isinstance(before, dict) else {}), **new}
    if _size(found) <= DEFAULT_LIMITS.value_nodes // 2:
        return found
    return {key: {"seconds": facts.get("seconds")} for key, facts in found.items()}


def _size(value: Any) -> int:
    """Returns the number of values in nested data."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, items))


def _seconds(evaluations: dict[str, Any]) -> float | None:
    given = [
        number(facts.get("seconds")) for facts in evaluations.values() if isinstance(facts, dict)
    ]
    seconds = [one for one in given if one is not None]
    return sum(seconds) if seconds else None
