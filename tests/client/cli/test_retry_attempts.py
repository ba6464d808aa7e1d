"""Tests of `podium outbox retry --restart` and `--as`, which deliver rejected attempts."""

import math
import time
from pathlib import Path
from typing import Any

import podium as library
import pytest
from podium._outbox import RejectedEvent, StreamReader, outbox_address, outboxes, streams
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED
from podium.v1.event_pb2 import ArmFinished, Event
from podium.v1.run_config_pb2 import RunConfig
from podium_server.testing.calls import arm as whole
from podium_server.testing.calls import metrics, row, started

from tests.client.cli.shell import Outcome, podium
from tests.client.sender.outboxes import appended, dead_stream, rejected_events, writer


def _run(root: Path, *arguments: str) -> Outcome:
    return podium("outbox", "retry", str(root), *arguments, address=_address(root))


def _sync(root: Path) -> None:
    podium("sync", str(root), address=_address(root))


def _address(root: Path) -> str:
    return outbox_address(outboxes(root)[0])


def _attempt(name: str, order: int, value: float, **fields: Any) -> list[Any]:
    """Returns the events of one attempt at arm `a`, which has 3 rows."""
    rows = [row("val", step, metrics={"acc": value + step}) for step in range(3)]
    end = Event(arm_finished=ArmFinished(arm="a", status=ARM_STATUS_COMPLETED))
    of_attempt = [_of(name, event) for event in (metrics({"loss": value}), *rows, end)]
    return [started("a", name, order, **fields), *of_attempt]


def _of(attempt: str, event: Event) -> Event:
    """Sets the attempt that an event names, and returns the event."""
    getattr(event, event.WhichOneof("kind") or "").attempt_id = attempt
    return event


def _record(outbox: Path, experiment: str, *events: Any, **fields: Any) -> Path:
    folder = dead_stream(outbox, experiment, *events, **fields)
    _sync(outbox)
    return folder


def _record_whole(outbox: Path, experiment: str, *events: Any) -> Path:
    return _record(outbox, experiment, *events, is_whole_arm=True)


def _arm(address: str, experiment: str, arm: str = "a") -> library.ArmResult:
    with library.Client(address) as client:
        return client.arm(experiment, arm).get()


def _accuracies(arm: library.ArmResult) -> list[float]:
    return [found.metrics["acc"] for found in arm.evals]


def test_a_second_run_of_a_finished_arm(root: Path, outbox: Path, address: str, name: str) -> None:
    """A second attempt at a finished arm is rejected if it did not start with `restart`.

    `podium outbox retry --restart` delivers all of its events, and nothing is left in the outbox.
    """
    _record(outbox, name, *_attempt("A", 1, 0))
    folder = _record(outbox, name, *_attempt("B", 2, 10))
    assert [reason for _, reason in rejected_events(folder)] == ["ARM_FINISHED"] + [
        "STALE_ATTEMPT"
    ] * 5
    assert _run(root, "--restart")[:2] == (0, "6 of 6 events delivered\n")
    arm = _arm(address, name)
    assert (_accuracies(arm), arm.metrics, arm.status) == ([10, 11, 12], {"loss": 10}, "completed")
    assert arm.attempt is not None
    assert arm.attempt.id == "B"
    assert streams(outbox) == []


def test_an_attempt_with_an_old_clock(root: Path, outbox: Path, address: str, name: str) -> None:
    """`--restart` makes an attempt the newest of its arm, even if its machine's clock was slow.

    It delivers all events of the attempt, even if the attempt was to resume from a step.
    """
    _record(outbox, name, *_attempt("A", 2**40, 0))
    folder = _record(outbox, name, *_attempt("B", 7, 10, resume_step=0))
    assert len(rejected_events(folder)) == 6
    assert _run(root, "--restart").code == 0
    arm = _arm(address, name)
    assert _accuracies(arm) == [10, 11, 12]
    assert arm.attempt is not None
    assert (arm.attempt.id, arm.attempt.order > 2**40) == ("B", True)


def test_as_another_arm(root: Path, outbox: Path, address: str, name: str) -> None:
    """`--as` records the attempt under the new name. The arm of the old name is unchanged."""
    _record(outbox, name, *_attempt("A", 1, 0))
    _record(outbox, name, *_attempt("B", 2, 10))
    done = _run(root, "--experiment", name, "--arm", "a", "--as", "a2")
    assert done[:2] == (0, "6 of 6 events delivered\n")
    assert _accuracies(_arm(address, name)) == [0, 1, 2]
    other = _arm(address, name, "a2")
    assert (_accuracies(other), other.status) == ([10, 11, 12], "completed")


def test_the_rest_of_a_superseded_attempt(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """If the start of an attempt was delivered, only `--as` sends the rest of the attempt.

    `--restart` would delete the results that the server already has.
    """
    folder = _superseded(outbox, name)
    done = _run(root, "--restart")
    assert (done.code, done.out) == (1, "0 of 1 event delivered\n")
    assert "--restart would delete the results that the server already has; `--as NAME`" in done.err
    assert rejected_events(folder) == [(3, "STALE_ATTEMPT")]
    assert _run(root, "--as", "zombie").code == 0
    assert _accuracies(_arm(address, name, "zombie")) == [2]
    assert _arm(address, name, "zombie").run_config.name == "r"


def _superseded(outbox: Path, name: str) -> Path:
    """Returns the stream of an attempt whose last row was sent after a newer attempt began."""
    old = appended(writer(outbox, name), started("a", "A", 1), _of("A", row("val", 1)))
    _sync(outbox)
    _record(outbox, name, *_attempt("B", 2, 10))
    appended(old, _of("A", row("val", 2, metrics={"acc": 2})))
    old.release()
    _sync(outbox)
    return old.folder


def test_a_name_that_is_taken(root: Path, outbox: Path, address: str, name: str) -> None:
    """`--as` does not change an arm that another process recorded."""
    _record(outbox, name, *_attempt("A", 1, 0))
    folder = _record(outbox, name, *_attempt("B", 2, 10))
    with library.Client(address) as client:
        client.experiment(name).start_arm(library.RunConfig("other"))
    done = _run(root, "--as", "other")
    assert (done.code, len(rejected_events(folder))) == (1, 6)
    taken = "the experiment already has an arm 'other'; give another name"
    (line,) = (line for line in done.err.splitlines() if line.startswith("podium: "))
    assert line == f"podium: 6 events of arm 'a' of {name!r} remain rejected: {taken}"
    assert _arm(address, name, "other").evals == []


def _whole_arm(arm: str, rows: int, **fields: Any) -> list[Event]:
    """Returns the events of a whole arm.

    Its first event has at most one row. Further rows have events of their own.
    """
    more = [row("val", step, metrics={"acc": step}) for step in range(1, rows + 1)]
    for each in more:
        each.eval_recorded.arm = arm
    first = [each.eval_recorded.eval_result for each in more[:1]]
    return [whole(arm, *first, metrics={"loss": math.nan}, **fields), *more[1:]]


def test_the_rows_of_a_rejected_whole_arm(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """If a whole arm is rejected, no row of it is stored, unless --restart replaces the arm."""
    _record(outbox, name, started("a", "A", 1), _of("A", row("val", 9)))
    folder = _record_whole(outbox, name, *_whole_arm("a", 3))
    rejected = [(sequence, "ARM_HAS_ATTEMPTS") for sequence in (1, 2, 3)]
    assert rejected_events(folder) == rejected
    assert _run(root).code == 1
    assert rejected_events(folder) == rejected
    assert [found.step for found in _arm(address, name).evals] == [9]
    assert _run(root, "--restart").code == 0
    assert _accuracies(_arm(address, name)) == [1, 2, 3]
    assert not folder.exists()


def test_a_row_beside_a_rejected_whole_arm(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """Even if a whole arm is rejected again, an evaluator's row for this arm is delivered."""
    _record(outbox, name, started("a", "A", 1))
    whole_arm = _record_whole(outbox, name, *_whole_arm("a", 2))
    evaluator = dead_stream(outbox, name, row("val", 9))
    [entry] = StreamReader(evaluator).read(0)
    StreamReader(evaluator).reject(RejectedEvent(1, "INTERNAL", "failed", 1.0, entry.payload))
    _sync(root)
    assert _run(root).code == 1
    assert [found.step for found in _arm(address, name).evals] == [9]
    assert len(rejected_events(whole_arm)) == 2
    assert not evaluator.exists()


def test_a_whole_arm_that_is_rejected_again(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """If one of two whole arms is rejected again, its rows do not become rows of the other one."""
    _record(outbox, name, started("a", "A", 1))
    first = _record_whole(outbox, name, *_whole_arm("a", 2))
    bad = _record_whole(outbox, name, *_whole_arm("a", 3, status=99))
    assert (len(rejected_events(first)), len(rejected_events(bad))) == (2, 3)
    assert _run(root, "--restart").code == 1
    assert _accuracies(_arm(address, name)) == [1, 2]
    assert not first.exists()
    assert len(rejected_events(bad)) == 3


@pytest.mark.parametrize("option", [[], ["--restart"]], ids=str)
def test_the_rows_of_a_damaged_whole_arm(
    root: Path, outbox: Path, address: str, name: str, option: list[str]
) -> None:
    """If the first event of a whole arm is damaged, a retry sends none of the whole arm's rows.

    They would become rows of another arm that has the same name.
    """
    _record(outbox, name, started("a", "A", 1))
    folder = dead_stream(outbox, name, *_whole_arm("a", 3), is_whole_arm=True)
    segment = next(folder.glob("*.segment"))
    segment.write_bytes(segment.read_bytes().replace(b"loss", b"lost"))
    _sync(outbox)
    rejected = [(sequence, "DAMAGED") for sequence in (1, 2, 3)]
    assert rejected_events(folder) == rejected
    done = _run(root, *option)
    assert (done.code, rejected_events(folder)) == (1, rejected)
    assert "the record of the whole arm is damaged" in done.err
    assert _arm(address, name).evals == []


@pytest.mark.parametrize("stored", [1, 2, 3])
def test_a_whole_arm_after_an_interrupted_retry(
    root: Path, outbox: Path, address: str, name: str, stored: int
) -> None:
    """`--as` completes an arm of which an interrupted retry recorded only the first events."""
    given: dict[str, Any] = {"group_name": "g", "train_seconds": 9.0, "error": "x"}
    _record(outbox, name, started("a", "A", 1))
    folder = _record_whole(outbox, name, *_whole_arm("a", 3, **given))
    with library.Client(address) as client:
        client.record(name, _whole_arm("other", 3, **given)[:stored])
        client.arm(name, "other").annotate(notes="kept")
    assert _run(root, "--as", "other").code == 0
    found = _arm(address, name, "other")
    assert _accuracies(found) == [1, 2, 3]
    assert (found.group_name, found.error) == ("g", "x")
    assert found.annotations == library.Annotations(notes="kept")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("rows", "changed"),
    [
        (2, {}),
        (1, {"run_config": RunConfig(name="other")}),
        (1, {"error": "x"}),
        (1, {"group_name": "g"}),
        (1, {"eval_seconds": 9.0}),
        (0, {"eval_metrics": {"acc": 1}}),
    ],
    ids=str,
)
def test_a_whole_arm_never_replaces_another(
    root: Path, outbox: Path, address: str, name: str, rows: int, changed: dict[str, Any]
) -> None:
    """`--as` sends no whole arm to an existing arm with a value that the whole arm lacks."""
    _record(outbox, name, started("a", "A", 1))
    folder = _record_whole(outbox, name, *_whole_arm("a", 1))
    with library.Client(address) as client:
        client.record(name, _whole_arm("other", rows, **changed))
    before = _arm(address, name, "other")
    done = _run(root, "--as", "other")
    assert (done.code, len(rejected_events(folder))) == (1, 1)
    assert "already has an arm 'other'; give another name" in done.err
    assert _arm(address, name, "other") == before


def test_the_newest_of_several_attempts(root: Path, outbox: Path, address: str, name: str) -> None:
    """Of two rejected attempts, `--restart` sends the newest. `--attempt` selects the other one."""
    _record(outbox, name, *_attempt("A", 1, 0))
    old = _record(outbox, name, *_attempt("B", 2, 10))
    _record(outbox, name, *_attempt("C", 3, 20))
    done = _run(root, "--restart")
    assert (done.code, done.out) == (0, "6 of 6 events delivered\n")
    assert "attempt 'B' of arm 'a'" in done.err
    assert _accuracies(_arm(address, name)) == [20, 21, 22]
    assert len(rejected_events(old)) == 6
    assert _run(root, "--attempt", "B", "--as", "b").code == 0
    assert _accuracies(_arm(address, name, "b")) == [10, 11, 12]


def test_an_attempt_from_the_future(root: Path, outbox: Path, address: str, name: str) -> None:
    """A restart is newer than the newest attempt, even if the clock of that attempt was ahead."""
    order = (int(time.time()) + 3_600) * 1_000
    _record(outbox, name, *_attempt("A", order, 0))
    _record(outbox, name, *_attempt("B", 2, 10))
    assert _run(root, "--restart").code == 0
    assert _accuracies(_arm(address, name)) == [10, 11, 12]
    with library.Client(address) as client:
        (arm,) = client.experiment(name).arms()
    assert arm.attempt is not None
    assert arm.attempt.order == order + 1


def test_events_that_are_bad_by_themselves(
    root: Path, outbox: Path, address: str, name: str
) -> None:
    """A bad row of a rejected attempt remains rejected. All other events are delivered."""
    _record(outbox, name, *_attempt("A", 1, 0))
    bad = _of("B", row("val", 9, eval_seconds=-1))
    *first, last = _attempt("B", 2, 10)
    folder = _record(outbox, name, *first, bad, last)
    done = _run(root, "--restart")
    assert (done.code, done.out) == (1, "6 of 7 events delivered\n")
    assert rejected_events(folder) == [(6, "FIELD_OUT_OF_RANGE")]
    assert _accuracies(_arm(address, name)) == [10, 11, 12]
    assert _arm(address, name).status == "completed"


@pytest.mark.slow
def test_without_a_server(root: Path, outbox: Path, name: str) -> None:
    """If no server answers, the events remain rejected. The next retry succeeds."""
    _record(outbox, name, *_attempt("A", 1, 0))
    folder = _record(outbox, name, *_attempt("B", 2, 10))
    assert _run(root, "--restart", "--address", "127.0.0.1:1", "--timeout", "1").code == 3
    assert len(rejected_events(folder)) == 6
    assert _run(root, "--restart").code == 0


def test_several_arms_are_not_one(root: Path, outbox: Path, name: str) -> None:
    """If the selected events are of several arms, `--as` is an error that names the arms.

    `--restart` without the action `retry` is an error, too.
    """
    for arm in ("a", "b"):
        dead_stream(outbox, name, started(arm, arm, 1), row("", 1, name=arm), arm=arm)
    _sync(root)
    done = _run(root, "--as", "c")
    assert (done.code, "the selected events are of 2 arms: 'a' of" in done.err) == (2, True)
    assert podium("outbox", str(root), "--restart").code == 2
