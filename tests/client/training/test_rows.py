"""Tests of rows, metrics and results from the calls of a trainer, without any library."""

import copy
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._recorder import ArmRecording
from podium.integrations._boosting import log_round, rows_of
from podium.integrations._training import Row, Training


def _rows(experiment: Any) -> list[tuple[str, int | None, dict[str, float]]]:
    return [(row.name, row.step, row.metrics) for row in experiment.arm("arm").get().evals]


def test_the_last_row_of_each_eval_is_its_result(experiment: podium.ExperimentHandle) -> None:
    """Rows keep their steps. The last row of each eval also becomes its post-training row."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    training.log({"loss": 0.5}, 10)
    for step in (10, 20):
        training.log_row(Row("val", {"accuracy": step / 100}, step, 1.5))
    training.log_row(Row("other", {"accuracy": 0.9}, 10))
    training.end(train_seconds=3.0)
    assert _rows(experiment) == [
        ("val", 10, {"accuracy": 0.1}),
        ("val", 20, {"accuracy": 0.2}),
        ("other", 10, {"accuracy": 0.9}),
        ("val", None, {"accuracy": 0.2}),
        ("other", None, {"accuracy": 0.9}),
    ]
    arm = experiment.arm("arm").get()
    assert (arm.status, arm.train_seconds, arm.metrics) == ("completed", 3.0, {"loss": 0.5})
    final = arm.eval("val")
    assert final is not None
    assert (final.tags, final.eval_seconds) == (["test"], 1.5)


def test_the_row_of_the_kept_model_is_the_result(
    experiment: podium.ExperimentHandle,
) -> None:
    """If the trainer kept an earlier model, the row of that model becomes the post-training row."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    rows = [Row("val", {"loss": loss}, step) for step, loss in enumerate((3.0, 1.0, 2.0))]
    for row in rows:
        training.log_row(row)
    training.end(best=[rows[1]])
    final = experiment.arm("arm").get().eval("val")
    assert final is not None
    assert final.metrics == {"loss": 1.0}


def test_an_evaluation_after_training_is_a_result(experiment: podium.ExperimentHandle) -> None:
    """An evaluation after the end of training has no step."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    training.end()
    training.log_row(Row("val", {"loss": 1.0}, 30))
    assert _rows(experiment) == [("val", None, {"loss": 1.0})]


def test_how_a_block_ended(experiment: podium.ExperimentHandle) -> None:
    """An error in a block fails the arm, and an interruption cancels it.

    Leaving the block again changes nothing.
    """
    for error, status in [(ValueError("x"), "failed"), (KeyboardInterrupt(), "cancelled")]:
        training = Training(experiment, restart=True)
        training.begin(podium.RunConfig("arm"))
        training.leave(error)
        training.leave(None)
        assert experiment.arm("arm").get().status == status


def test_another_training_ends_the_one_before(experiment: podium.ExperimentHandle) -> None:
    """If a callback begins another training run, the arm of the earlier run is cancelled."""
    training = Training(experiment)
    training.begin(podium.RunConfig("first"))
    training.begin(podium.RunConfig("second"))
    training.end()
    assert experiment.arm("first").get().status == "cancelled"
    assert experiment.arm("second").get().status == "completed"


def test_a_callback_that_is_used_again_records_another_arm(
    experiment: podium.ExperimentHandle, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that is used again records another arm. The arm that has ended is unchanged.

    A copy of the callback also records another arm.
    """
    training = Training(experiment)
    searched = copy.deepcopy(training)
    training.begin(podium.RunConfig("arm"))
    training.log_row(Row("val", {"loss": 1.0}, 1))
    training.end()
    training.begin(podium.RunConfig("arm", seed=1))
    training.end()
    searched.begin(podium.RunConfig("arm", seed=2))
    searched.end()
    found = {arm.name: arm.status for arm in experiment.arms()}
    assert found == {"arm": "completed", "arm-2": "completed", "arm-3": "completed"}
    assert _rows(experiment) == [("val", 1, {"loss": 1.0}), ("val", None, {"loss": 1.0})]
    assert "the next training run is recorded as arm 'arm-2'" in caplog.text


def test_a_training_run_that_begins_again_is_the_same_arm(
    experiment: podium.ExperimentHandle,
) -> None:
    """If a training run begins again before it has ended, it is the same arm.

    An example is another try after an out-of-memory error. The arm has only the rows of the last
    try.
    """
    training = Training(experiment)
    training.begin(podium.RunConfig("arm", seed=1))
    training.log_row(Row("val", {"loss": 1.0}, 1))
    training.begin(podium.RunConfig("arm", seed=1))
    training.log_row(Row("val", {"loss": 0.5}, 2))
    training.end()
    assert [step for _, step, _ in _rows(experiment)] == [2, None]
    training.begin(podium.RunConfig("arm", seed=1), resume_step=2)
    training.end()
    assert [arm.name for arm in experiment.arms()] == ["arm"]


def test_training_runs_share_a_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All training runs of a process share a recorder. Only the last run's stream is open."""
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("PODIUM_OFFLINE", "1")
    arms: list[Any] = []
    for number in range(5):
        training = Training("search")
        training.begin(podium.RunConfig(f"arm{number}"))
        training.end()
        training.log_final("bench", {"score": 1.0})
        arms.append(training.arm)
    assert len({id(arm._experiment) for arm in arms}) == 1
    assert [arm._stream.has_ended for arm in arms] == [True] * 4 + [False]
    training.leave(None)


def test_beginning_again_causes_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a training run begins again, the recorder does not warn that its name is used twice."""
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("PODIUM_OFFLINE", "1")
    training = Training("memory")
    for _ in range(2):
        training.begin(podium.RunConfig("arm"))
    training.end()
    training.leave(None)
    assert "a second time" not in caplog.text
    assert training.arm is not None


def test_another_process_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that is not the trainer's main process records nothing, and logs that once.

    A main process of the trainer records, even if its rank in a Slurm job is not 0.
    """
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("PODIUM_OFFLINE", "1")
    other = Training("distributed")
    for _ in range(2):
        other.begin(podium.RunConfig("arm"), rank=3)
    assert other.arm is None
    assert caplog.text.count("this process is rank 3") == 1
    monkeypatch.setenv("SLURM_PROCID", "3")  # one of four separate runs in a Slurm job
    training = Training("distributed")
    training.begin(podium.RunConfig("arm"), rank=0)
    assert isinstance(training.arm, ArmRecording)
    assert not training.arm.is_silent
    training.stop("enough")
    training.leave(None)


def test_a_resumed_training_run_keeps_earlier_rows(experiment: podium.ExperimentHandle) -> None:
    """If training resumes after a step, rows up to this step are kept, even with `restart`."""
    training = Training(experiment, restart=True)
    training.begin(podium.RunConfig("arm"))
    for step in (1, 2, 3):
        training.log_row(Row("val", {"loss": 1 / step}, step))
    training.stop("preempted")
    again = Training(experiment, restart=True)
    again.begin(podium.RunConfig("arm"), resume_step=2)
    assert [step for _, step, _ in _rows(experiment)] == [1, 2]
    again.stop("enough")


def test_a_round_of_boosting(experiment: podium.ExperimentHandle) -> None:
    """In a round of boosting, scores on the training set become training metrics.

    Each other data set gets a row. A pair of a mean and a standard deviation, as from several
    folds, becomes two metrics.
    """
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    scores: dict[str, dict[str, Any]] = {"train": {"error": 0.1}, "val": {"error": (0.25, 0.5)}}
    log_round(training, rows_of(scores, 4), frozenset({"train"}))
    assert experiment.arm("arm").get().metrics == {"error": 0.1}
    assert _rows(experiment) == [("val", 4, {"error": 0.25, "error_std": 0.5})]
    training.stop("enough")
