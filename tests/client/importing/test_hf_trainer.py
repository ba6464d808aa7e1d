"""Tests of imports of `trainer_state.json`, the state of Hugging Face's Trainer."""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import Found, FoundArm, NotImported, import_results, read_results

from tests.client.importing.files import write_json, write_text


def _state(log: list[dict[str, Any]], **said: Any) -> dict[str, Any]:
    return {"global_step": 4, "max_steps": 8, "log_history": log, **said}


_LOG = [
    {"epoch": 1.0, "step": 2, "loss": 0.9, "learning_rate": 1e-5},
    {"epoch": 1.0, "step": 2, "eval_loss": 0.8, "eval_acc": 0.5, "eval_runtime": 3.0},
    {"epoch": 2.0, "step": 4, "loss": 0.7},
    {"epoch": 2.0, "step": 4, "eval_loss": 0.6, "eval_acc": 0.75, "eval_runtime": 2.5},
]
_END = {"epoch": 2.0, "step": 4, "train_runtime": 60.0, "train_loss": 0.8, "total_flos": 5e20}


def _read(path: Path) -> list[Found]:
    return list(read_results(path))


def _arm(path: Path) -> FoundArm:
    [found] = _read(path)
    assert isinstance(found, FoundArm)
    return found


def test_a_finished_training_is_an_arm_with_its_evals(tmp_path: Path) -> None:
    """Evals keep their steps. The eval at the last step is also imported as a post-training row."""
    best = {"best_metric": 0.6}
    state = _state([*_LOG, _END], max_steps=4, **best)
    write_json(tmp_path / "run" / "trainer_state.json", state)
    assert _arm(tmp_path).series["loss"] == podium.Series("loss", [2, 4], [0.9, 0.7])
    arm = _arm(tmp_path).arm
    assert (arm.name, arm.status, arm.train_seconds) == ("run", "completed", 60.0)
    assert [(row.name, row.step, row.eval_seconds) for row in arm.evals] == [
        ("eval", 2, 3.0),
        ("eval", 4, 2.5),
        ("eval", None, 2.5),
    ]
    assert arm.score("eval.acc") == 0.75
    assert arm.score("acc") == 0.75
    assert arm.score("train_loss") == 0.8
    assert arm.metrics == {
        "loss": 0.7,
        "learning_rate": 1e-5,
        "epoch": 2.0,
        "train_runtime": 60.0,
        "train_loss": 0.8,
        "total_flos": 5e20,
    }
    assert arm.run_config.algorithm == podium.Component("hf_trainer", {"max_steps": 4})
    assert arm.run_config.extras == best


def test_an_unfinished_training_is_running_and_has_no_result(tmp_path: Path) -> None:
    """A training run that has not reached its last step has no post-training row."""
    arm = _arm(write_json(tmp_path / "run" / "trainer_state.json", _state(_LOG))).arm
    assert arm.status == "running"
    assert [row.step for row in arm.evals] == [2, 4]


def test_named_eval_sets_are_evals_of_their_own(tmp_path: Path) -> None:
    """If a log has a key `eval_NAME_runtime`, the eval set NAME is an eval of its own."""
    log = [
        {"step": 2, "eval_g0_loss": 0.5, "eval_g0_runtime": 1.0},
        {"step": 2, "eval_g_1_loss": 0.25, "eval_g_1_runtime": 2.0},
    ]
    arm = _arm(write_json(tmp_path / "run" / "trainer_state.json", _state(log))).arm
    assert [(row.name, row.metrics) for row in arm.evals] == [
        ("g0", {"loss": 0.5}),
        ("g_1", {"loss": 0.25}),
    ]


def test_checkpoints_of_a_training_are_earlier_states_of_it(tmp_path: Path) -> None:
    """The longest log of a training run becomes its arm. A state of another run is another arm."""
    write_json(tmp_path / "run" / "trainer_state.json", _state(_LOG))
    write_json(tmp_path / "run" / "checkpoint-2" / "trainer_state.json", _state(_LOG[:2]))
    other = [{"step": 2, "loss": 0.1}]
    write_json(tmp_path / "run" / "checkpoint-3" / "trainer_state.json", _state(other))
    found = _read(tmp_path)
    assert [item.arm.name for item in found if isinstance(item, FoundArm)] == [
        "run",
        "run/checkpoint-3",
    ]
    [item] = [item for item in found if isinstance(item, NotImported)]
    assert item.source == str(tmp_path / "run" / "checkpoint-2" / "trainer_state.json")
    assert not item.is_wrong


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"log_history": [', "not valid JSON: Expecting value in line 1"),
        ('{"log_history": 1}', "not a trainer_state.json: it lacks the list log_history"),
        ('["log_history"]', "not a JSON object"),
        ('{"log_history": [{"step": "x", "eval_loss": 1}]}', "'x' is not a valid step"),
        (
            '{"log_history": [{"eval_loss": 1}], "max_steps": 1, "global_step": "x"}',
            "in the format",
        ),
        ('{"log_history": [{"step": 1, "eval_loss": 1}], "global_step": "x"}', ""),
    ],
)
def test_a_bad_state_is_reported_and_the_others_are_imported(
    tmp_path: Path, text: str, why: str
) -> None:
    """A bad state is reported with its path, and the next training run is imported."""
    write_text(tmp_path / "a" / "trainer_state.json", text)
    write_json(tmp_path / "b" / "trainer_state.json", _state(_LOG))
    found = _read(tmp_path)
    assert [item.arm.name for item in found if isinstance(item, FoundArm)][-1] == "b"
    if why:
        [item] = [item for item in found if isinstance(item, NotImported)]
        assert item.source.startswith(str(tmp_path / "a"))
        assert why in item.why


def test_nan_is_a_value(tmp_path: Path) -> None:
    """A loss that is NaN is imported as NaN."""
    log = [{"step": 2, "eval_loss": float("nan")}]
    arm = _arm(write_json(tmp_path / "run" / "trainer_state.json", _state(log))).arm
    value = arm.score("eval.loss")
    assert value is not None
    assert value != value  # noqa: PLR0124 - only NaN is not itself


def test_the_longest_training_of_a_folder_has_the_folders_name(tmp_path: Path) -> None:
    """The arm of the longest log in a folder is named after the folder, not after its checkpoint.

    If a checkpoint is imported alone, the arm's name also contains the name of the checkpoint.
    """
    for steps in (2, 4):
        log = _LOG[:steps]
        write_json(tmp_path / "run" / f"checkpoint-{steps}" / "trainer_state.json", _state(log))
        assert [item.arm.name for item in _read(tmp_path) if isinstance(item, FoundArm)] == ["run"]
    alone = _read(tmp_path / "run" / "checkpoint-2")
    assert [item.arm.name for item in alone if isinstance(item, FoundArm)] == ["run/checkpoint-2"]


def test_the_name_of_an_arm_in_a_folder_with_a_generic_name(tmp_path: Path) -> None:
    """If a folder has a generic name such as `results`, the name of its parent comes before it.

    So training runs of two projects are two arms.
    """
    for project in ("a", "b"):
        folder = tmp_path / project / "results" / "checkpoint-4"
        write_json(folder / "trainer_state.json", _state([{"step": 4, "loss": 0.5, "p": project}]))
    names = [item.arm.name for item in _read(tmp_path) if isinstance(item, FoundArm)]
    assert names == ["a/results", "b/results"]


def test_a_checkpoint_with_nan_in_its_log_is_an_earlier_state(tmp_path: Path) -> None:
    """A checkpoint is recognized as an earlier state of a training run even if its log has NaN."""
    log = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": float("nan")}]
    for steps in (1, 2):
        folder = tmp_path / "run" / f"checkpoint-{steps}"
        write_json(folder / "trainer_state.json", _state(log[:steps]))
    found = _read(tmp_path)
    assert [item.arm.name for item in found if isinstance(item, FoundArm)] == ["run"]
    assert [item.is_wrong for item in found if isinstance(item, NotImported)] == [False]


def test_an_evaluation_of_the_test_set_is_an_eval(tmp_path: Path) -> None:
    """If a log entry has a key `PREFIX_runtime`, its metrics with this prefix are an eval.

    Only the prefix `train` does not stand for an eval.
    """
    log = [
        {"step": 4, "test_loss": 0.5, "test_f1": 0.25, "test_runtime": 2.0},
        {"step": 4, "eval_loss": 0.5, "eval_runtime": 1.0, "eval_a_loss": 1.5, "eval_a_runtime": 3},
        {"step": 4, "train_runtime": 60.0, "train_loss": 0.8},
    ]
    arm = _arm(write_json(tmp_path / "run" / "trainer_state.json", _state(log))).arm
    assert [(row.name, row.metrics, row.eval_seconds) for row in arm.evals] == [
        ("test", {"loss": 0.5, "f1": 0.25}, 2.0),
        ("eval", {"loss": 0.5}, 1.0),
        ("a", {"loss": 1.5}, 3.0),
    ]
    assert arm.metrics == {"train_runtime": 60.0, "train_loss": 0.8}


def test_rewards_of_trl_are_metrics_with_their_names(tmp_path: Path) -> None:
    """TRL metrics with a slash, such as `rewards/margins`, keep their names.

    That applies to metrics of training and of evals.
    """
    log = [
        {"step": 2, "rewards/margins": float("nan"), "completions/mean_length": 12.5},
        {"step": 2, "eval_rewards/margins": 0.75, "eval_logps/chosen": -20.5, "eval_runtime": 1.0},
    ]
    arm = _arm(write_json(tmp_path / "run" / "trainer_state.json", _state(log))).arm
    assert arm.evals[0].metrics == {"rewards/margins": 0.75, "logps/chosen": -20.5}
    assert arm.metrics["completions/mean_length"] == 12.5
    assert arm.metrics["rewards/margins"] != arm.metrics["rewards/margins"]


def test_a_second_evaluation_at_the_last_step_is_the_result(tmp_path: Path) -> None:
    """Of two evaluations at the last step, the first is the in-loop row, and the second the result.

    With load_best_model_at_end, the best model is evaluated again at the last step.
    """
    log = [
        {"step": 4, "eval_acc": 0.5, "eval_runtime": 1.0},
        {"step": 4, "eval_acc": 0.75, "eval_runtime": 1.0},
    ]
    path = write_json(tmp_path / "run" / "trainer_state.json", _state(log, max_steps=4))
    arm = _arm(path).arm
    assert arm.score("eval.acc") == 0.75
    in_loop = arm.eval("eval", step=4)
    assert in_loop is not None
    assert in_loop.metrics == {"acc": 0.5}


def test_values_that_are_not_numbers_are_reported(tmp_path: Path) -> None:
    """Values of a log that are null or a string are reported once for each key."""
    log: list[dict[str, Any]] = [
        {"step": 1, "eval_acc": None},
        {"step": 2, "eval_acc": 0.5, "note": "warm"},
    ]
    path = write_json(tmp_path / "run" / "trainer_state.json", _state(log))
    assert [item.why for item in _read(path) if isinstance(item, NotImported)] == [
        "'eval_acc' is not a number in 1 of 2 entries of the log",
        "'note' is not a number in 1 of 2 entries of the log",
    ]


def test_another_training_does_not_overwrite_one_of_the_same_name(
    client: podium.Client, tmp_path: Path
) -> None:
    """A later state of a training run is imported. Another run with the same name is rejected.

    With `replace`, the other run is imported, too.
    """
    path = write_json(tmp_path / "run" / "trainer_state.json", _state(_LOG[:2]))
    assert import_results(client, path).recorded == 1
    write_json(path, _state(_LOG))
    report = import_results(client, path)
    assert report.experiments["hf_trainer"].changed == ["run"]
    log: list[dict[str, Any]] = [{"step": 9, "loss": 1.0}]
    other = write_json(tmp_path / "b" / "run" / "trainer_state.json", _state(log))
    [item] = import_results(client, other).not_imported
    assert item.why.startswith("arm 'run' of 'hf_trainer' was imported from another run (hf-")
    assert client.arm("hf_trainer", "run").score("loss") is not None
    assert import_results(client, other, replace=True).recorded == 1
