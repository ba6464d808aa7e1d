"""Tests of imports of the Hugging Face Trainer's results files, with and without its state."""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import import_results

from tests.client.importing.files import write_json, write_text
from tests.client.importing.reading import results

_LOG: list[dict[str, Any]] = [
    {"epoch": 1.0, "step": 2, "loss": 0.9},
    {"epoch": 1.0, "step": 2, "eval_loss": 0.8, "eval_runtime": 3.0},
]
_STATE = {"global_step": 2, "max_steps": 8, "log_history": _LOG}
_TRAIN = {"epoch": 1.0, "train_loss": 0.95, "train_runtime": 60.5, "train_samples": 100}
_EVAL = {"epoch": 1.0, "eval_loss": 0.75, "eval_runtime": 2.5, "eval_samples": 10}
_PREDICT = {"predict_loss": 0.625, "predict_bleu": 31.5, "predict_runtime": 1.5}


def _write_results(folder: Path, **more: Any) -> None:
    write_json(folder / "all_results.json", {**_TRAIN, **_EVAL, **_PREDICT, **more})
    write_json(folder / "train_results.json", _TRAIN)
    write_json(folder / "eval_results.json", {**_EVAL, **more})
    write_json(folder / "predict_results.json", _PREDICT)


def test_results_beside_a_state_are_post_training_rows_of_its_arm(tmp_path: Path) -> None:
    """Results files beside a trainer state become post-training rows of the arm of that state.

    The arm's in-loop row comes from the log in the state.
    """
    write_json(tmp_path / "run" / "trainer_state.json", _STATE)
    _write_results(tmp_path / "run", perplexity=2.125)
    found = results(tmp_path)
    assert (list(found.arms), found.not_imported) == (["run"], {})
    arm = found.arms["run"]
    assert [(row.name, row.step, row.metrics, row.eval_seconds) for row in arm.evals] == [
        ("eval", 2, {"loss": 0.8}, 3.0),
        ("predict", None, {"loss": 0.625, "bleu": 31.5}, 1.5),
        ("eval", None, {"loss": 0.75, "samples": 10.0, "perplexity": 2.125}, 2.5),
    ]
    assert arm.metrics == {"loss": 0.9, **_TRAIN}
    assert (arm.status, arm.train_seconds) == ("completed", 60.5)
    assert arm.score("bleu") == 31.5


def test_a_training_without_its_own_results_is_not_finished_by_an_evaluation(
    tmp_path: Path,
) -> None:
    """An evaluation of an unfinished training run becomes a post-training row of its arm.

    The arm's status is still running.
    """
    write_json(tmp_path / "run" / "trainer_state.json", _STATE)
    write_json(tmp_path / "run" / "eval_results.json", _EVAL)
    arm = results(tmp_path).arms["run"]
    assert (arm.status, [row.step for row in arm.evals]) == ("running", [2, None])


def test_results_alone_are_an_arm(client: podium.Client, tmp_path: Path) -> None:
    """Results files without a state are an arm.

    Another evaluation with the same name is rejected.
    """
    write_json(tmp_path / "a" / "run" / "all_results.json", _EVAL)
    write_json(tmp_path / "a" / "run" / "eval_results.json", _EVAL)
    write_json(tmp_path / "b" / "run" / "eval_results.json", {**_EVAL, "eval_runtime": 9.0})
    assert import_results(client, tmp_path / "a").recorded == 1
    assert import_results(client, tmp_path / "a").unchanged == 1
    arm = client.arm("hf_trainer", "run").get()
    assert (arm.status, arm.score("eval.loss"), arm.metrics) == ("completed", 0.75, {"epoch": 1.0})
    [item] = import_results(client, tmp_path / "b").not_imported
    assert "was imported from another run" in item.why


def test_a_test_set_evaluated_with_the_default_prefix_is_the_test(tmp_path: Path) -> None:
    """Metrics in `test_results.json` are of the test set, even if their names begin with `eval_`.

    `trainer.evaluate` uses this prefix by default, for any data set.
    """
    of_test = {"eval_loss": 0.5, "eval_runtime": 1.0}
    write_json(tmp_path / "run" / "all_results.json", {**_EVAL, **of_test})
    write_json(tmp_path / "run" / "eval_results.json", _EVAL)
    write_json(tmp_path / "run" / "test_results.json", of_test)
    arm = results(tmp_path).arms["run"]
    assert [(row.name, row.metrics, row.tags) for row in arm.evals] == [
        ("test", {"loss": 0.5}, ["test"]),
        ("eval", {"loss": 0.75, "samples": 10.0}, []),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        ('{"eval_runtime": 1.0, "eval_lo', "not valid JSON: Unterminated string starting at in"),
        ("[1]", "not a JSON object"),
        ('{"eval_runtime": 1.0, "eval_note": "x"}', "'eval_note' is not a number in 1 of 1"),
    ],
)
def test_bad_results_are_reported_and_the_state_is_imported(
    tmp_path: Path, text: str, why: str
) -> None:
    """Empty, torn and odd results files beside a state are reported. The state is imported."""
    write_json(tmp_path / "run" / "trainer_state.json", _STATE)
    write_text(tmp_path / "run" / "eval_results.json", text)
    found = results(tmp_path)
    assert found.arms["run"].evals[0].step == 2
    assert found.not_imported["run/eval_results.json"].startswith(why)


def test_files_of_other_tools_with_these_names_are_not_claimed(tmp_path: Path) -> None:
    """No importer claims a results file without a key `…_runtime` and without a state beside it.

    Any tool may have written such a file.
    """
    for name in ("all_results.json", "eval_results.json", "test_results.json"):
        write_json(tmp_path / name, {"accuracy": 0.5, "eval_accuracy": 0.5})
    found = results(tmp_path)
    assert (found.arms, found.not_imported) == ({}, {})


def test_results_that_differ_from_the_log(tmp_path: Path) -> None:
    """A metric in both the log and a results file has the value of the results file."""
    log = [{"step": 2, "train_loss": 0.5, "loss": 0.9}]
    write_json(tmp_path / "run" / "trainer_state.json", {**_STATE, "log_history": log})
    write_json(tmp_path / "run" / "train_results.json", _TRAIN)
    assert results(tmp_path).arms["run"].metrics == {"loss": 0.9, **_TRAIN}
