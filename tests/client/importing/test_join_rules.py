"""Tests of the rules that join evaluations of one model to arms, without a server."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from podium import Provenance
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.results import ArmResult, ArmStatus, Attempt, EvalResult, RunConfig, RunResult
from podium.importing import Evaluation, FoundArm, Note, NotImported
from podium.importing._joining import join
from podium.importing._recording import _check_same_run, _duplicate

from tests.each import each

_CONFIG = RunConfig("m", seed=1)


class _Recorded:
    """The arms that were recorded before an import."""

    def __init__(self, *arms: ArmResult) -> None:
        self._arms = {arm.name: arm for arm in arms}

    def names(self) -> set[str]:
        return set(self._arms)

    def arm(self, name: str) -> ArmResult | None:
        return self._arms.get(name)


def _row(task: str, day: int | None, value: float = 0.5, step: int | None = None) -> EvalResult:
    row = EvalResult(task, f"{task}@1", {"acc": value}, step=step)
    row.event_time = None if day is None else datetime(2026, 1, day, tzinfo=UTC)
    return row


def _arm(name: str, *rows: EvalResult, trained: bool = False, **fields: Any) -> ArmResult:
    given = {"run_config": _CONFIG, "status": "completed", **fields}
    arm = ArmResult(name, evals=list(rows), **given)
    arm.attempt = Attempt("A", 1) if trained else None
    return arm


def _found(id_: str, *rows: EvalResult, **fields: Any) -> FoundArm:
    """Returns an evaluation of the model m with the seed 1."""
    facts = {"seconds": fields.pop("seconds", 1.0)}
    place = Evaluation((("m", _CONFIG),), id_, id_, facts)
    return FoundArm("x", _arm(f"m@{id_}", *rows, **fields), f"file {id_}", evaluation=place)


def _joined(found: list[FoundArm], *recorded: ArmResult) -> dict[str, list[str]]:
    """Joins evaluations to arms. Returns the rows of each arm as strings such as `task:day`."""
    return {
        item.arm.name: [f"{r.name}:{r.event_time and r.event_time.day}" for r in item.arm.evals]
        for item in join(found, _Recorded(*recorded))
        if isinstance(item, FoundArm)
    }


def test_the_earliest_evaluation_of_a_task_is_in_the_main_arm() -> None:
    """The main arm has the earliest row of each task, in whatever order the files are read."""
    first, later = _found("a", _row("t", 2), _row("u", 9)), _found("b", _row("t", 5))
    for files in ([first, later], [later, first]):
        assert _joined(files) == {"m-seed1": ["t:2", "u:9"], "m-seed1-b": ["t:5"]}
    undated = _found("c", _row("t", None))
    assert _joined([undated, first])["m-seed1"] == ["t:2", "u:9"]


def test_a_third_arm_of_one_run_has_the_name_of_its_file() -> None:
    """If a run has three evaluations of one task, the arm of the third one is named after its file.

    The name of the second arm already ends with the run's ID.
    """
    files = [_found("a", _row("t", day), seconds=day) for day in (1, 2, 3)]
    for day, file in enumerate(files):
        file.arm.name = f"m@{day}"
    assert list(_joined(files)) == ["m-seed1", "m-seed1-a", "m@2"]


def test_an_evaluation_that_is_recorded_stays_in_its_arm() -> None:
    """An evaluation belongs to the recorded arm that has a row with the same task and time.

    Its other rows may have been scored again since.
    """
    before = _arm("m-seed1-b", _row("t", 3), _row("u", 4))
    files = [_found("b", _row("t", 3), _row("u", 5))]
    assert _joined(files, _arm("m-seed1", _row("t", 1)), before) == {
        "m-seed1-b": ["t:3", "u:5"],
    }


@each(
    ("rows", "name"),
    [
        ([_row("t", None, 0.5)], "m-seed1"),
        ([_row("t", None, 0.6)], "m-seed1-b"),
        ([_row("t", None, 0.5), _row("u", None)], "m-seed1-b"),
        ([_row("u", None)], "m-seed1"),
    ],
)
def test_evaluations_without_times_are_told_apart_by_all_of_their_metrics(
    rows: list[EvalResult], name: str
) -> None:
    """An evaluation without times counts as recorded only if the arm has all of its rows.

    The metrics must be equal. If the arm has none of its tasks, they are added to the arm.
    Otherwise, the evaluation becomes another arm.
    """
    recorded = _arm("m-seed1", _row("t", None, 0.5))
    assert list(_joined([_found("b", *rows)], recorded)) == [name]


def test_an_arm_that_a_process_recorded_gets_no_more_tasks() -> None:
    """An import adds no task to an arm that its own process recorded."""
    recorded = _arm("m-seed1", _row("t", 1), trained=True)
    assert _joined([_found("b", _row("u", 2))], recorded) == {"m-seed1-b": ["u:2"]}


def test_rows_at_steps_are_not_those_of_an_evaluation() -> None:
    """An arm that has only in-loop rows of a task gets the row of an evaluation of this task."""
    recorded = _arm("m-seed1", _row("t", 1, step=100))
    assert _joined([_found("b", _row("t", 2))], recorded) == {"m-seed1": ["t:2"]}


def test_arms_of_other_seeds_are_other_arms() -> None:
    """An evaluation is not joined to an arm with another seed, even if their names are alike."""
    other = _arm("m-seed1-b", _row("u", 1), run_config=replace(_CONFIG, seed=2))
    files = [_found("b", _row("t", 2)), _found("c", _row("t", 3))]
    found = _joined(files, _arm("m-seed1", _row("t", 1)), other)
    assert found == {"m-seed1-b": ["t:2"], "m-seed1-c": ["t:3"]}


@each(
    ("trained", "status", "is_new"),
    [(True, "failed", False), (True, "running", True), (False, "failed", True)],
)
def test_a_failed_evaluation_that_its_process_has_recorded(
    *, trained: bool, status: str, is_new: bool
) -> None:
    """A failed evaluation is left out only if its own process recorded an arm that failed, too."""
    recorded = _arm("m-seed1-b", trained=trained, status=status)
    [item] = join([_found("b", status="failed")], _Recorded(recorded))
    assert isinstance(item, FoundArm if is_new else NotImported)


def test_the_facts_of_an_arm_are_those_of_all_evaluations() -> None:
    """An arm keeps its recorded facts. The durations of all its evaluations are added up."""
    facts = {"evaluations": {"z": {"seconds": 4.0}}}
    recorded = _arm("m-seed1", _row("t", 1), run_result=RunResult("m", "completed", extras=facts))
    files = [_found("a", _row("u", 2), seconds=1.0), _found("b", _row("v", 3), seconds=2.0)]
    [found] = [item for item in join(files, _Recorded(recorded)) if isinstance(item, FoundArm)]
    assert found.arm.eval_seconds == 7.0
    assert found.arm.run_result is not None
    assert set(found.arm.run_result.extras["evaluations"]) == {"z", "a", "b"}


def test_an_evaluation_without_results_is_not_joined() -> None:
    """An evaluation without results is not joined to an arm, even if its status is completed."""
    [item] = join([_found("a")], _Recorded(_arm("m-seed1", _row("t", 1))))
    assert isinstance(item, FoundArm)
    assert (item.arm.name, item.arm.evals, item.run_may_change) == ("m@a", [], False)


def test_recorded_rows_keep_their_order() -> None:
    """New rows come after the recorded rows of an arm, in whatever order the files have them."""
    recorded = _arm("m-seed1", _row("u", 2), _row("t", 1))
    files = [_found("a", _row("s", 3), _row("t", 1), _row("u", 2))]
    assert _joined(files, recorded) == {"m-seed1": ["u:2", "t:1", "s:3"]}


def test_the_provenance_of_an_arm_is_the_recorded_one() -> None:
    """The provenance of a file is used only if the recorded arm has none.

    The arm keeps its recorded run ID.
    """
    file = _found("a", _row("u", 2), run_id="file")
    recorded = _arm("m-seed1", _row("t", 1), run_id="recorded")
    file.arm.provenance = Provenance(host="file")
    for given, expected in ((None, "file"), (Provenance(host="recorded"), "recorded")):
        recorded.provenance = given
        [found] = [item for item in join([file], _Recorded(recorded)) if isinstance(item, FoundArm)]
        assert found.arm.provenance is not None
        assert (found.arm.provenance.host, found.arm.run_id) == (expected, "recorded")


def test_too_many_facts_are_reduced_to_durations() -> None:
    """If facts take more than half of the values that a field can have, only durations are kept."""
    file = _found("a", _row("t", 1))
    assert file.evaluation is not None
    most = DEFAULT_LIMITS.value_nodes // 2
    for count, is_kept in ((most - 4, True), (most, False)):
        file.evaluation.facts["more"] = [0] * count
        [found] = join([file], _Recorded())
        assert isinstance(found, FoundArm)
        assert found.arm.run_result is not None
        assert ("more" in found.arm.run_result.extras["evaluations"]["a"]) is is_kept


def test_a_note_names_the_reason_of_another_arm() -> None:
    """If a file becomes another arm, a note says which arm already has the file's task.

    The note also says whether that arm has the task with the same settings or with other ones.
    """
    other = _row("t", 3)
    other.benchmark_id = "t@2"
    files = [_found("a", _row("t", 1)), _found("b", _row("t", 2)), _found("c", other)]
    notes = [item.text for item in join(files, _Recorded()) if isinstance(item, Note)]
    assert [text.partition(", so")[0] for text in notes] == [
        "'m-seed1' has 't' with the same settings",
        "'m-seed1' has 't' with other settings",
    ]


# ---- Imports of the same arm ---------------------------------------------------------------------


@each(
    ("before", "now", "is_same"),
    [("a", "a", True), ("a", None, True), (None, "a", True), ("a", "b", False)],
)
def test_an_arm_of_another_run_is_not_overwritten(
    before: str | None, now: str | None, *, is_same: bool
) -> None:
    """Two arms with one name are of different runs only if both have a run ID, and these differ."""
    arms = [_arm("m", run_id=run_id) for run_id in (now, before)]
    if is_same:
        _check_same_run(*arms)
        return
    with pytest.raises(ValueError, match=r"was imported from another run \(a\)"):
        _check_same_run(*arms)


def test_a_second_arm_of_one_name() -> None:
    """A second arm with the same name is a copy if it has the same rows in any order.

    If it has other rows, it is a problem.
    """
    rows = [_row("t", 1, step=1), _row("t", 2), _row("s", 3)]
    first, copy, other = (_found("a", *each) for each in (rows, rows[::-1], rows[:2]))
    assert not _duplicate(copy, first).is_wrong
    assert _duplicate(other, first).is_wrong
    assert str(ArmStatus.COMPLETED) == first.arm.status
