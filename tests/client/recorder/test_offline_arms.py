"""Tests of what an arm writes to its outbox: after wrong calls, in a fork, and at SIGTERM."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podium
import pytest
from podium import EvalResult, RunConfig
from podium._outbox import StreamReader
from podium._outbox.folders import outboxes, streams
from podium._recorder import upkeep
from podium.v1.arm_result_pb2 import ARM_STATUS_CANCELLED, ARM_STATUS_COMPLETED
from podium.v1.event_pb2 import Event

_MIB = 2**20


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[podium.ExperimentRecording]:
    """Yields a recorder that only writes to its outbox. No sender runs."""
    with podium.record("x", outbox=tmp_path, offline=True, close_timeout=0) as experiment:
        yield experiment


def _events(root: Path, arm: str) -> list[Event]:
    """Returns the events that were written for an arm, in order."""
    readers = [StreamReader(each) for outbox in outboxes(root) for each in streams(outbox)]
    return [
        Event.FromString(payload)
        for reader in readers
        if reader.info.arm == arm
        for payload in reader.remaining()
    ]


def _kinds(found: list[Event]) -> list[str | None]:
    return [event.WhichOneof("kind") for event in found]


@pytest.mark.parametrize("text", ["x" * (2 * _MIB), "\0" * 9])
@pytest.mark.parametrize("field", ["extras", "eval", "validation"])
def test_an_arm_with_a_configuration_beyond_all_limits(
    experiment: podium.ExperimentRecording, tmp_path: Path, field: str, text: str
) -> None:
    """An arm whose configuration is too large starts with as much of it as a server accepts.

    What the arm logs afterwards is recorded.
    """
    config = RunConfig("a")
    setattr(config, field, {"long": text, "short": 1})
    with experiment.start_arm(config, attempt_id="one") as arm:
        arm.log({"loss": 1})
    found = _events(tmp_path, "a")
    assert _kinds(found) == ["arm_started", "metrics_recorded", "arm_finished"]
    started = found[0].arm_started
    assert started.attempt.id == "one"
    kept = getattr(started.run_config, field)
    assert kept["short"].int_value == 1
    assert len(kept["long"].string_value) >= min(len(text), 100_000)
    assert started.ByteSize() < _MIB


def test_an_arm_whose_configuration_is_large_in_all_parts(
    experiment: podium.ExperimentRecording, tmp_path: Path
) -> None:
    """If several parts of a configuration are too large, each is shortened until the event fits.

    The provenance is recorded, too.
    """
    long = {"long": "x" * (2 * _MIB)}
    config = RunConfig("a", eval=long, validation=long, extras=long)
    provenance = podium.Provenance(host="node7", packages=dict.fromkeys("abc", "1"))
    with experiment.start_arm(config, provenance=provenance):
        pass
    started = _events(tmp_path, "a")[0].arm_started
    assert started.ByteSize() <= 960 * 1024
    for field in (started.run_config.eval, started.run_config.validation):
        assert len(field["long"].string_value) > 50_000
    assert started.provenance.host == "node7"


def test_a_row_beyond_all_limits(experiment: podium.ExperimentRecording, tmp_path: Path) -> None:
    """A row whose breakdowns are too large is recorded with its metrics.

    As much of the breakdowns as a server accepts is recorded, too, and the row counts as
    incomplete.
    """
    with experiment.start_arm(RunConfig("a")) as arm:
        arm.log_eval("v", {"n": 1}, breakdowns={"long": "x" * (2 * _MIB), "n": 2})
        assert (arm.counters.incomplete, arm.counters.dropped) == (1, 0)
        assert experiment.counters.incomplete == 1
    row = _events(tmp_path, "a")[1].eval_recorded.eval_result
    assert dict(row.metrics) == {"n": 1.0}
    assert row.breakdowns["n"].int_value == 2
    assert len(row.breakdowns["long"].string_value) > 100_000


def test_a_recorder_that_is_terminated(
    experiment: podium.ExperimentRecording, tmp_path: Path
) -> None:
    """If SIGTERM ends a recorder, its unfinished arms end as cancelled.

    Arms that were finished before stay completed.
    """
    done, open_ = (experiment.start_arm(RunConfig(name)) for name in ("done", "open"))
    done.finish()
    open_.log({"loss": 1})
    experiment.terminate()
    assert _kinds(_events(tmp_path, "done")) == ["arm_started", "arm_finished"]
    found = _events(tmp_path, "open")
    assert _kinds(found) == ["arm_started", "metrics_recorded", "arm_finished"]
    statuses = [_events(tmp_path, name)[-1].arm_finished.status for name in ("done", "open")]
    assert statuses == [ARM_STATUS_COMPLETED, ARM_STATUS_CANCELLED]
    assert "SIGTERM" in found[-1].arm_finished.error


def test_a_fork_ends_nothing(
    experiment: podium.ExperimentRecording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a forked process, neither `finish` nor a SIGTERM ends an arm of the parent process."""
    arm = experiment.start_arm(RunConfig("a"))
    with monkeypatch.context() as patched:
        pid = os.getpid()
        patched.setattr(arm, "_owner", pid + 1)
        patched.setattr(experiment, "_owner", pid + 1)
        arm.finish()
        experiment.terminate()
    assert "not delivered yet" not in caplog.text  # as a closed recorder logs
    assert f"only process {pid + 1} records how the arm ended" in caplog.text
    assert _kinds(_events(tmp_path, "a")) == ["arm_started"]
    arm.finish("failed")
    assert _kinds(_events(tmp_path, "a")) == ["arm_started", "arm_finished"]


def test_wrong_calls_of_every_kind(
    experiment: podium.ExperimentRecording, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls with wrong values raise no error, and the valid values among them are recorded.

    A wrong metric that is logged twice causes only one warning.
    """
    wrong: Any = object()
    with experiment.start_arm(RunConfig("a")) as arm:
        for _ in range(2):
            arm.log({"loss": 1, "bad": wrong}, step=wrong)
            arm.log_eval("v", {"n": 1}, step=2.5, tags=wrong)
            arm.annotate(notes=wrong, add_tags=["t", ""], remove_tags=["t", "u"])
        arm.finish(wrong, error=wrong, train_seconds=-1, run_result=wrong)
    found = _events(tmp_path, "a")
    expected = ["metrics_recorded", "eval_recorded", "arm_annotated"] * 2
    assert _kinds(found) == ["arm_started", *expected, "arm_finished"]
    assert dict(found[1].metrics_recorded.metrics) == {"loss": 1.0}
    assert not found[1].metrics_recorded.HasField("step")
    assert found[2].eval_recorded.eval_result.step == 2
    assert not found[3].arm_annotated.HasField("notes")
    assert (list(found[3].arm_annotated.add_tags), list(found[3].arm_annotated.remove_tags)) == (
        ["t"],
        ["u"],
    )
    ended = found[-1].arm_finished
    assert [ended.HasField(name) for name in ("train_seconds", "run_result")] == [False] * 2
    assert (arm.counters.incomplete, arm.counters.dropped) == (7, 0)
    assert caplog.text.count("metrics['bad']") == 1


def test_a_silent_arm_writes_nothing(tmp_path: Path) -> None:
    """In a process of rank 1, a recorder and its arms accept all calls and write nothing."""
    with podium.record("x", outbox=tmp_path, offline=True, rank=1) as experiment:
        assert "x" in repr(experiment)
        with experiment.start_arm(RunConfig("a")) as arm:
            arm.log({"loss": 1})
            arm.log_eval("v", {"n": 1})
            arm.annotate(notes="n")
            arm.finish()
            assert arm.is_silent
        experiment.conclude("done")
        experiment.record_arm(
            podium.ArmResult("b", RunConfig("r"), "completed", evals=[EvalResult("v")])
        )
    assert [path for outbox in outboxes(tmp_path) for path in streams(outbox)] == []


def test_the_thread_of_a_closed_recorder(tmp_path: Path) -> None:
    """The upkeep thread of a recorder ends when the recorder is closed.

    The interval between two turns of its regular work is 0.25 seconds.
    """
    experiment: Any = podium.record("x", outbox=tmp_path, offline=True, close_timeout=0)
    thread = experiment._process_outbox._upkeep._thread
    assert thread.is_alive()
    experiment.close()
    assert not thread.is_alive()
    assert upkeep._INTERVAL == 0.25


def test_wrong_values_of_an_evaluation(experiment: podium.ExperimentRecording) -> None:
    """An `evaluating` block with a wrong metric counts as an incomplete call of the experiment.

    The counters of the arm do not count it.
    """
    wrong: Any = object()
    with experiment.start_arm(RunConfig("a")) as arm:
        with arm.evaluating("v") as evaluation:
            evaluation.log({"n": 1, "bad": wrong})
        assert (arm.counters.incomplete, arm.counters.dropped) == (0, 0)
        assert experiment.counters.incomplete == 1
