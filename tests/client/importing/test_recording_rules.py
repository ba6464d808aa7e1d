"""Tests of what an import records, and when it records nothing, without a server."""

import math
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from podium import ArmResult, Attempt, EvalResult, RunConfig, Series, events
from podium._model.recording import RecordResult
from podium.errors import RefusedEvent, error_for
from podium.importing import FoundArm, FoundExperiment, _recording
from podium.importing._identities import within_limit
from podium.importing._recording import (
    _comparable,
    _has_results_of,
    _Import,
    _reason,
    _series_events,
)
from podium.scoring import direction_metadata
from podium.v1.event_pb2 import Event

from tests.each import each


class _Target:
    """A target of an import that has the given arms, and takes all events."""

    def __init__(self, *arms: ArmResult, changes: bool = True) -> None:
        self.sent: list[tuple[str, list[Event]]] = []
        self._arms = {arm.name: arm for arm in arms}
        self._changes = changes

    def existing_arm(self, _experiment: str, name: str) -> ArmResult | None:
        return self._arms.get(name)

    def send(self, experiment: str, to_record: list[Event]) -> bool:
        for event in to_record:
            event.ClearField("event_time")
        self.sent.append((experiment, to_record))
        return self._changes


def _import(target: Any, experiment: str | None = None, *, replace: bool = False) -> _Import:
    return _Import(target, experiment, replace=replace)


def _event(event: Event) -> Event:
    event.ClearField("event_time")
    return event


def _arm(name: str = "a", *rows: EvalResult, **fields: Any) -> ArmResult:
    given = {"run_config": RunConfig(name), "status": "completed", **fields}
    return ArmResult(name, evals=list(rows), **given)


def test_a_described_experiment() -> None:
    """An experiment is declared with all fields of the source, and its conclusion is recorded.

    If the import goes into an experiment that the user chose, only the directions are declared.
    """
    found = FoundExperiment(
        "e", "f", "h", "m", "minimize", {"n": "maximize"}, "p", "c", ["t"], {"k": 1}
    )
    target = _Target()
    _import(target).take(found, "csv")
    stated = direction_metadata({"n": "maximize"})
    [(name, [declared, concluded])] = target.sent
    expected = events.experiment_declared(
        hypothesis="h",
        success_metric="m",
        direction="minimize",
        parent="p",
        tags=["t"],
        metadata={"k": 1, **stated},
    )
    assert (name, declared) == ("e", _event(expected))
    assert concluded == _event(events.experiment_concluded("c"))
    target = _Target()
    _import(target, "other").take(found, "csv")
    assert target.sent == [("other", [_event(events.experiment_declared(metadata=stated))])]
    target = _Target()
    for experiment in (FoundExperiment("e", "f"), FoundExperiment("e", "f", conclusion="c")):
        _import(target, "other").take(experiment, "csv")
    assert target.sent == []
    _import(target).take(FoundExperiment("e", "f"), "csv")
    assert target.sent == [("e", [_event(events.experiment_declared())])]


def test_names_over_the_limit() -> None:
    """Names of arms and groups over the limit are shortened in the event.

    The arm that was read keeps its names.
    """
    long = "n" * 300
    found = FoundArm("e", _arm(long, group_name=long), "f")
    target = _Target()
    work = _import(target)
    work.take(found, "csv")
    recorded = target.sent[0][1][0].arm_recorded.arm_result
    assert [len(name.encode()) for name in (recorded.name, recorded.group_name)] == [256, 256]
    assert recorded.run_config.name == recorded.name
    assert (found.arm.name, found.arm.run_config, found.arm.group_name) == (
        long,
        RunConfig(long),
        long,
    )
    assert [note.source for note in work.report.notes] == ["f"]


@each(
    ("existing", "changes", "counts"),
    [
        (None, True, (1, 0, [])),
        (None, False, (0, 1, [])),
        (_arm(), True, (1, 0, ["a"])),
        (_arm(), False, (0, 1, [])),
    ],
)
def test_the_counts_of_an_import(
    existing: ArmResult | None, *, changes: bool, counts: tuple[int, int, list[str]]
) -> None:
    """An arm that was there before is counted as changed only if something was recorded for it."""
    target = _Target(*([] if existing is None else [existing]), changes=changes)
    work = _import(target, "e")
    work.take(FoundArm("x", _arm("a", EvalResult("v"), EvalResult("w")), "f"), "csv")
    [(name, count)] = work.report.experiments.items()
    assert (name, count.kind, count.evals) == ("e", "csv", 2)
    assert (count.recorded, count.unchanged, count.changed) == counts


def test_rows_that_a_source_lacks() -> None:
    """Recorded rows that a source lacks are kept, unless the arm is replaced.

    If all other rows are the same, nothing is sent.
    """
    row, late = EvalResult("v", metrics={"m": 1}, step=0), EvalResult("v", metrics={"m": 2})
    changed = EvalResult("v", metrics={"m": 3}, step=0)
    for source, replace, rows in (
        (row, False, None),
        (changed, False, [3.0, 2.0]),
        (row, True, [1.0]),
    ):
        target = _Target(_arm("a", late, row))
        _import(target, replace=replace).take(FoundArm("e", _arm("a", source), "f"), "csv")
        [(_, sent)] = target.sent
        values = [each.metrics["m"] for one in sent for each in one.arm_recorded.arm_result.evals]
        assert values == (rows or [])
        assert [each.arm_recorded.replace for each in sent] == ([] if rows is None else [replace])


def test_arms_that_their_own_process_recorded() -> None:
    """An arm that its own process recorded is not sent again if the source has the same results.

    An arm with other results is sent.
    """
    row = EvalResult("v", metrics={"m": math.nan})
    for value, count in ((math.nan, 0), (1.0, 1)):
        existing = _arm("a", row, EvalResult("more"), metrics={"x": 1, "y": 2}, run_id="r")
        existing.attempt = Attempt("A", 1)
        target = _Target(existing)
        found = _arm("a", EvalResult("v", metrics={"m": value}), metrics={"x": 1}, run_id="r")
        _import(target).take(FoundArm("e", found, "f"), "csv")
        assert len(target.sent[0][1]) == count


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"run_id": "s"}, False),
        ({"status": "failed"}, False),
        ({"metrics": {"x": 2}}, False),
        ({"metrics": {"x": math.nan}}, False),
        ({"evals": [EvalResult("v", metrics={"m": 1}, step=1)]}, False),
        ({"evals": [EvalResult("v", metrics={"m": 1, "n": 2}, step=0)]}, False),
        ({"evals": [EvalResult("v", metrics={"m": 1}, step=0)]}, True),
        ({"evals": [EvalResult("v", metrics={"m": 1})]}, False),
    ],
    ids=str,
)
def test_the_same_results(changes: dict[str, Any], *, is_same: bool) -> None:
    """A recorded arm has a source's results if it has the source's run, status, rows and metrics.

    More rows or metrics in the recorded arm do not matter.
    """
    existing = _arm(
        "a", EvalResult("v", metrics={"m": 1}, step=0), metrics={"x": 1, "y": 2}, run_id="r"
    )
    given = {"metrics": {"x": 1}, "run_id": "r", "status": "completed", **changes}
    arm = ArmResult("a", RunConfig("a"), **given)
    assert _has_results_of(existing, arm) is is_same


def test_arms_that_are_compared() -> None:
    """Two arms are equal even if their rows are in another order.

    If an arm has rows, its eval metrics are not compared, since a server derives them from these.
    """
    rows = [EvalResult("v", metrics={"m": 1}), EvalResult("v", step=0), EvalResult("v", step=-1)]
    given = _arm("a", *rows, eval_metrics={"z": 1}, eval_breakdowns={"b": 2})
    assert _comparable(given) == _comparable(_arm("a", *rows[::-1]))
    assert _comparable(_arm("a", *rows)) != _comparable(_arm("a", *rows[:2]))
    bare = _arm("a", eval_metrics={"z": 1})
    assert _comparable(bare).eval_metrics == {"z": 1}


def test_the_series_of_an_arm() -> None:
    """Values of series are sent in the order of steps.

    Then the arm's metrics that differ from the last value of their series are sent without a step.
    """
    arm = _arm("a", metrics={"x": 9, "y": 4, "z": 1})
    series = {"x": Series("x", [1, 5], [2, 3]), "y": Series("y", [5], [4])}
    found = [
        (
            each.metrics_recorded.HasField("step"),
            each.metrics_recorded.step,
            dict(each.metrics_recorded.metrics),
        )
        for each in _series_events(arm, FoundArm("e", arm, "f", series))
    ]
    assert found == [(True, 1, {"x": 2}), (True, 5, {"x": 3, "y": 4}), (False, 0, {"x": 9})]
    [event, *_] = _series_events(arm, FoundArm("e", arm, "f", series))
    assert not event.HasField("event_time")


def test_the_reason_of_a_refusal() -> None:
    """A rejected event is reported with its error and reason, but without its place in the call."""
    refusal = RefusedEvent(0, "NAME_INVALID", True, "the name is empty")  # noqa: FBT003
    error = error_for("NAME_INVALID", "events[0]: the name is empty", refusals=[refusal])
    assert _reason(error) == "the name is empty (NAME_INVALID)"
    assert _reason(ValueError("bad")) == "bad"
    assert _reason(RecursionError("x")) == "the data is nested too deeply"


def test_calls_of_a_target() -> None:
    """An import declares each experiment once.

    A dry run only validates, and still tells whether something would change.
    """
    calls: list[tuple[list[str], bool]] = []
    client = MagicMock()

    def record(_name: str, sent: list[Event], *, validate_only: bool = False) -> RecordResult:
        calls.append(([event.WhichOneof("kind") or "" for event in sent], validate_only))
        return RecordResult(1, changed)

    client.record = record
    listed = client.experiment.return_value.arms.return_value.stream
    listed.side_effect = lambda: iter([SimpleNamespace(name="a")])
    for dry_run, changed in ((False, 1), (False, 0), (True, 1), (True, 0)):
        calls.clear()
        target = _recording._Target(client, dry_run=dry_run)
        found = [target.send("e", [events.skipped()]) for _ in range(2)]
        assert found == [changed > 0] * 2
        second = ["skipped"] if not dry_run else ["experiment_declared", "skipped"]
        assert calls == [(["experiment_declared", "skipped"], dry_run), (second, dry_run)]
    listed.reset_mock(side_effect=False)
    assert [target.existing_names("e") for _ in range(2)] == [{"a"}, {"a"}]
    assert target.existing_arm("e", "b") is None
    listed.assert_called_once_with()


def test_a_changed_arm_with_a_name_over_the_limit() -> None:
    """The report names a changed arm as the server does, with the shortened name."""
    short = within_limit("n" * 300)
    work = _import(_Target(_arm(short)))
    work.take(FoundArm("e", _arm("n" * 300, metrics={"x": 1}), "f"), "csv")
    assert work.report.experiments["e"].changed == [short]


def test_arms_that_an_import_recorded() -> None:
    """An arm that an import recorded is sent again if the source lacks one of its metrics."""
    target = _Target(_arm("a", metrics={"x": 1, "y": 2}))
    _import(target).take(FoundArm("e", _arm("a", metrics={"x": 1}), "f"), "csv")
    [(_, [sent])] = target.sent
    assert dict(sent.arm_recorded.arm_result.metrics) == {"x": 1}
