"""What a trainer says becomes rows, metrics and a result: the logic without the libraries."""

from collections.abc import Iterator
from typing import Any

import podium
import pytest
from podium.integrations._boosting import log_round, rows_of
from podium.integrations._training import Row, Training
from podium_server.testing import running_server


@pytest.fixture
def experiment() -> Iterator[podium.ExperimentHandle]:
    """An experiment of a client's: each call is on the server when it returns."""
    with running_server() as server, podium.Client(server.address) as client:
        experiment = client.experiment("trainings")
        experiment.declare()
        yield experiment


def _rows(experiment: Any) -> list[tuple[str, int | None, dict[str, float]]]:
    return [(row.name, row.step, row.metrics) for row in experiment.arm("arm").get().evals]


def test_the_last_row_of_each_eval_is_its_result(experiment: podium.ExperimentHandle) -> None:
    """Rows keep their steps; at the end the last of each name is the post-training row."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    training.log({"loss": 0.5})
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


def test_the_best_row_is_the_result_where_the_trainer_says_so(
    experiment: podium.ExperimentHandle,
) -> None:
    """A trainer that kept an earlier model names the rows that tell what it is worth."""
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
    """What is evaluated when training has ended has no step."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    training.end()
    training.log_row(Row("val", {"loss": 1.0}, 30))
    assert _rows(experiment) == [("val", None, {"loss": 1.0})]


def test_how_a_block_ended(experiment: podium.ExperimentHandle) -> None:
    """An error fails the arm, an interruption cancels it; what has ended stays as it is."""
    for error, status in [(ValueError("x"), "failed"), (KeyboardInterrupt(), "cancelled")]:
        training = Training(experiment, restart=True)
        training.begin(podium.RunConfig("arm"))
        training.leave(error)
        training.leave(None)
        assert experiment.arm("arm").get().status == status


def test_another_training_ends_the_one_before(experiment: podium.ExperimentHandle) -> None:
    """A callback that is used again records the next arm, and says that the last was left."""
    training = Training(experiment)
    training.begin(podium.RunConfig("first"))
    training.begin(podium.RunConfig("second"))
    training.end()
    assert experiment.arm("first").get().status == "cancelled"
    assert experiment.arm("second").get().status == "completed"


def test_going_on_keeps_what_was_done(experiment: podium.ExperimentHandle) -> None:
    """Rows up to the step that training goes on after stay, also with restart."""
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
    """Each data set is a row, the training set metrics; folds are a mean and a deviation."""
    training = Training(experiment)
    training.begin(podium.RunConfig("arm"))
    scores: dict[str, dict[str, Any]] = {"train": {"error": 0.1}, "val": {"error": (0.25, 0.5)}}
    log_round(training, rows_of(scores, 4), frozenset({"train"}))
    assert experiment.arm("arm").get().metrics == {"error": 0.1}
    assert _rows(experiment) == [("val", 4, {"error": 0.25, "error_std": 0.5})]
    training.stop("enough")
