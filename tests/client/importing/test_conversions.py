"""Tests of how importers convert settings, names and files, without a server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from podium import Component, DataConfig, EvalResult, ModelConfig, RunConfig
from podium.importing._configs import run_config_from
from podium.importing._rows import eval_and_metric, with_last_rows
from podium.importing._values import json_object, leaves, yaml_object
from podium.importing.kinds import hf_trainer, mlflow

from tests.client.importing.files import write_text
from tests.each import each

# ---- Shared parts --------------------------------------------------------------------------------


@each(
    ("source", "config"),
    [
        (None, RunConfig("run")),
        ("", RunConfig("run")),
        (0, RunConfig("run", extras={"config": 0})),
        ("a text", RunConfig("run", extras={"config": "a text"})),
        ({"name": "", "lr": None, 3: 0}, RunConfig("run", extras={"3": 0})),
        (
            {"name": "own", "seed": 0.0, "tags": "['a', 1]"},
            RunConfig("own", seed=0, tags=["a", "1"]),
        ),
        (
            {"eval": {"k": (1,)}, "validation": 3, "tags": "none"},
            RunConfig("run", eval={"k": [1]}, extras={"validation": 3}),
        ),
        (
            {
                "model": {"name": "m"},
                "data": {"source_kind": "hf"},
                "algorithm": "sft",
                "backend": {"kind": "b", "params": {"n": 1}},
            },
            RunConfig(
                "run",
                DataConfig("hf"),
                ModelConfig("m"),
                Component("sft"),
                Component("b", {"n": 1}),
            ),
        ),
        ({"model": "m", "data": [1]}, RunConfig("run", extras={"model": "m", "data": [1]})),
    ],
)
def test_a_configuration_of_another_tool(source: object, config: RunConfig) -> None:
    """A setting with the name of a field of the run config is converted to the type of the field.

    Other settings, and values that do not fit their field, are kept in the extras, unless they are
    empty.
    """
    assert run_config_from(source, "run", more=None) == config
    config.extras["more"] = 0
    assert run_config_from(source, "run", more=0) == config


@each(
    ("key", "found"),
    [
        ("dev.acc", ("dev", "acc")),
        ("valid_acc", ("valid", "acc")),
        ("validation/a.b", ("validation", "a.b")),
        ("evaluation_f1", ("evaluation", "f1")),
        ("test.a/val", ("test", "a/val")),
        ("a/b/dev", ("dev", "a/b")),
        ("val_a\nb", ("val", "a\nb")),
        ("acc_val", None),
        ("evaluations", None),
        ("testing/acc", None),
    ],
)
def test_evals_in_keys(key: str, found: tuple[str, str] | None) -> None:
    """The name of an eval is found at the beginning of a key, or else after its last slash.

    Only whole words count.
    """
    assert eval_and_metric(key) == found


def test_a_post_training_row_keeps_everything() -> None:
    """The post-training copy of a row has no step, and the tag "test".

    All other fields are those of the row.
    """
    row = EvalResult("predict", "b", {"m": 1}, {"x": 2}, 3.0, 0, ["t"], "model")
    row.event_time = datetime(2026, 1, 2, tzinfo=UTC)
    _, last = with_last_rows([row])
    expected = EvalResult("predict", "b", {"m": 1}, {"x": 2}, 3.0, None, ["t", "test"], "model")
    assert (last, last.event_time) == (expected, row.event_time)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b'{\n"a": ]', "not valid JSON: Expecting value in line 2"),
        (b"[1]", "not a JSON object"),
        (b'{"a": "\xff"}', "not valid JSON: the file is not UTF-8"),
    ],
)
def test_a_file_that_is_no_json_object(tmp_path: Path, content: bytes, why: str) -> None:
    """The error for a file that is not a JSON object says what is wrong, and in which line."""
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{why}$"):
        json_object(tmp_path / "f")


def test_numbers_that_python_writes(tmp_path: Path) -> None:
    """The NaN and -Infinity that Python writes into JSON files are read as numbers."""
    found = json_object(write_text(tmp_path / "f", '{"a": NaN, "b": -Infinity}'))
    assert str(found) == "{'a': nan, 'b': -inf}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: [", "not valid YAML: .* in line 3"),
        ("[1]", "not a YAML mapping"),
        ("a: &x 1\nb: *x\n", r"YAML aliases \(\*name\) are not supported"),
    ],
)
def test_a_file_that_is_no_yaml_mapping(tmp_path: Path, text: str, why: str) -> None:
    """The error for a file that is not a YAML mapping says what is wrong.

    In a valid file, keys that are numbers become strings.
    """
    with pytest.raises(ValueError, match=f"^{why}$"):
        yaml_object(write_text(tmp_path / "f", text))
    assert yaml_object(write_text(tmp_path / "f", "1: 2\n")) == {"1": 2}


def test_the_leaves_of_nested_objects() -> None:
    """Nested objects are split into values with dotted keys. An empty object has no values.

    With `whole="_type"`, an object that has the key `_type` is not split.
    """
    values = {"a": {"b": 1, "c": {"_type": "image"}, "d": {}}, "e": [{"f": 1}]}
    assert dict(leaves(values, whole="_type")) == {
        "a.b": 1,
        "a.c": {"_type": "image"},
        "e": [{"f": 1}],
    }
    assert dict(leaves(values))["a.c._type"] == "image"


# ---- MLflow and Hugging Face ---------------------------------------------------------------------


def test_the_configuration_of_an_mlflow_run() -> None:
    """The parameters of an MLflow run, which are strings, become numbers and flags again.

    If there is a parameter `random_seed`, it is the seed, and not `random_state`.
    """
    params = {"lr": "0.1", "random_state": "9", "random_seed": "7", "on": "True", "id": "007"}
    meta: dict[str, Any] = {"user": "me", "end_time": None, "tags": [], "entry_point_name": ""}
    found = mlflow._run_config("n", meta, params, {"k": "v"})
    assert found.seed == 7
    assert found.algorithm == Component(
        "mlflow", {"lr": 0.1, "random_state": 9, "random_seed": 7, "on": True, "id": "007"}
    )
    assert found.extras == {"mlflow": {"user": "me", "tags": {"k": "v"}}}
    assert mlflow._name_of({"name": "/a/b/"}, Path("x/3")) == "a/b"
    assert mlflow._name_of({}, Path("x/3")) == "mlflow-3"


@each(
    ("split", "content", "found"),
    [
        ("eval", {"loss": 1, "epoch": 2}, {"eval_loss": 1, "epoch": 2}),
        ("predict", {"eval_loss": 1, "predict_a": 2}, {"predict_loss": 1, "predict_a": 2}),
        ("test", {"acc": 1}, {"test_acc": 1}),
        ("train", {"loss": 1}, {"loss": 1}),
        ("all", {"loss": 1}, {"loss": 1}),
    ],
)
def test_keys_without_their_data_set(split: str, content: Any, found: Any) -> None:
    """In the results of a data set such as `test`, a metric key without the prefix `test_` gets it.

    A wrong prefix `eval_` is replaced. Results of `train` and `all` are not changed.
    """
    assert hf_trainer._with_prefix(content, split) == found


@each(
    ("path", "is_whole_folder", "name"),
    [
        ("/a/run/trainer_state.json", False, "run"),
        ("/a/run/checkpoint-3/trainer_state.json", False, "run/checkpoint-3"),
        ("/a/run/last-checkpoint/trainer_state.json", True, "run"),
        ("/a/Outputs/trainer_state.json", False, "a/Outputs"),
        ("/a/results/checkpoint-3/trainer_state.json", False, "a/results/checkpoint-3"),
        ("/a/checkpoint-x/trainer_state.json", False, "checkpoint-x"),
    ],
)
def test_the_name_of_a_training_run(path: str, *, is_whole_folder: bool, name: str) -> None:
    """A training run is named after its folder.

    The name of its checkpoint is added, unless `is_whole_folder` is set. If the name of the folder
    is generic, the name of its parent folder comes before it.
    """
    assert hf_trainer._name(Path(path), is_whole_folder=is_whole_folder) == name
