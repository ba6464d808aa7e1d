"""Tests of imports of TensorBoard's event files: scalars, hyperparameters, and damaged files."""

import random
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import FoundArm, import_results, read_results
from podium.importing.kinds import tensorboard
from podium.importing.kinds.tensorboard import _events

from tests.client.importing.files import write_text
from tests.client.importing.reading import results
from tests.client.importing.tensorboard_files import event_bytes, hparams, scalars, write_events

_Event = _events._MESSAGES["Event"]
_BEGIN = _Event(wall_time=1e9)


def _found(path: Path) -> FoundArm:
    [found] = [item for item in read_results(path) if isinstance(item, FoundArm)]
    return found


def test_the_checksum_is_that_of_tensorflow() -> None:
    """The checksum of the length 24 is the one in a record that TensorFlow wrote."""
    assert _events._masked_crc32c(struct.pack("<Q", 24)) == 0x224B7FA3


def test_tags_become_series_and_in_loop_rows(tmp_path: Path) -> None:
    """A tag with a word such as `val` at its beginning or end is a metric of an eval.

    Other tags are series. The eval row of the last step is also imported as a post-training row.
    """
    write_events(
        tmp_path / "exp",
        _BEGIN,
        scalars(0, Loss__train=1.0, Loss__val=2.0, val__acc=0.25, epoch_val_f1=0.5),
        scalars(5, 1e9 + 5, Loss__train=0.5, Loss__val=float("nan"), val__acc=0.75),
    )
    found = _found(tmp_path)
    arm = found.arm
    assert (found.experiment, arm.name, arm.status) == ("tensorboard", "exp", "completed")
    assert found.series == {"Loss/train": podium.Series("Loss/train", [0, 5], [1.0, 0.5])}
    assert arm.metrics == {"Loss/train": 0.5}
    assert [(row.name, row.step, str(row.metrics)) for row in arm.evals] == [
        ("val", 0, "{'Loss': 2.0, 'acc': 0.25, 'f1': 0.5}"),
        ("val", 5, "{'Loss': nan, 'acc': 0.75}"),
        ("val", None, "{'Loss': nan, 'acc': 0.75}"),
    ]
    assert arm.evals[1].event_time == datetime.fromtimestamp(1e9 + 5, UTC)


def test_only_the_test_set_is_tagged(tmp_path: Path) -> None:
    """Of the results of the last step, only that of the test set gets the tag "test"."""
    write_events(tmp_path / "exp", _BEGIN, scalars(1, val__acc=0.25, test__acc=0.5))
    rows = [row for row in _found(tmp_path).arm.evals if row.step is None]
    assert {row.name: row.tags for row in rows} == {"val": [], "test": ["test"]}


def test_folders_of_keras_are_one_run(client: podium.Client, tmp_path: Path) -> None:
    """Keras's folders `train` and `validation` are one arm. A second import changes nothing."""
    write_events(tmp_path / "run" / "train", _BEGIN, scalars(1, epoch_loss=0.5))
    write_events(tmp_path / "run" / "validation", _BEGIN, scalars(1, epoch_loss=0.75))
    report = import_results(client, tmp_path)
    assert (report.recorded, report.not_imported) == (1, [])
    arm = client.arm("tensorboard", "run").get()
    assert (arm.metrics, arm.score("validation.epoch_loss")) == ({"epoch_loss": 0.5}, 0.75)
    assert import_results(client, tmp_path).unchanged == 1


@pytest.mark.parametrize(
    ("tensor", "number"),
    [
        ({"dtype": 1, "float_val": [0.5]}, 0.5),
        ({"dtype": 1, "tensor_content": struct.pack("<f", 0.25)}, 0.25),
        ({"dtype": 2, "tensor_content": struct.pack("<d", 0.1)}, 0.1),
        ({"dtype": 9, "int64_val": [2**40]}, 2.0**40),
        ({"dtype": 1, "tensor_content": b"123"}, None),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 2}]}, "float_val": [1, 2]}, None),
        ({"dtype": 7}, None),
    ],
)
def test_scalars_of_tensorflow_2_are_tensors(
    tmp_path: Path, tensor: dict[str, Any], number: float | None
) -> None:
    """A tensor without dimensions is a scalar. Other tensors are reported by their tags."""
    value = [{"tag": b"loss", "tensor": tensor}]
    write_events(
        tmp_path / "r", _BEGIN, scalars(0, x=1.0), _Event(step=1, summary={"value": value})
    )
    found = results(tmp_path)
    assert found.arms["r"].metrics.get("loss") == number
    assert found.not_imported == (
        {"r": "'loss' has no scalars in 1 records"} if number is None else {}
    )


def test_hyperparameters_are_the_configuration(tmp_path: Path) -> None:
    """The configuration and the status are read from an event of the hparams plugin."""
    write_events(
        tmp_path / "a" / "version_0",
        _BEGIN,
        hparams(2, lr=0.5, opt="adam", amp=True, seed=7),
        scalars(1, loss=1.0),
    )
    arm = _found(tmp_path).arm
    assert (arm.name, arm.status, arm.run_config.seed) == ("a/version_0", "failed", 7)
    assert arm.run_config.algorithm == podium.Component(
        "tensorboard", {"lr": 0.5, "opt": "adam", "amp": True, "seed": 7.0}
    )
    assert arm.run_config.algorithm.params["amp"] is True


def test_a_restart_removes_later_values(tmp_path: Path) -> None:
    """If a run restarts at a step, the earlier values at this step and later are removed.

    A run that continues from a checkpoint logs these steps again, in another file.
    """
    folder = tmp_path / "exp"
    write_events(folder, _BEGIN, scalars(1, loss=1.0), scalars(2, loss=2.0, val_acc=0.5))
    restart = _Event(step=2, session_log={"status": 1})
    more = (_BEGIN, restart, scalars(3, loss=0.5))
    write_events(folder, *more, name="events.out.tfevents.2.host")
    found = _found(tmp_path)
    assert found.series["loss"] == podium.Series("loss", [1, 3], [1.0, 0.5])
    assert found.arm.evals == []


def test_runs_in_a_run_have_its_name(tmp_path: Path) -> None:
    """A run in a folder of another run is named after both folders.

    `add_scalars` and `add_hparams` write such runs.
    """
    write_events(tmp_path / "exp", _BEGIN, scalars(1, loss=1.0))
    write_events(tmp_path / "exp" / "loss" / "a", _BEGIN, scalars(1, loss=2.0))
    assert set(results(tmp_path).arms) == {"exp", "exp/loss/a"}


def test_another_run_does_not_overwrite_one_of_the_same_name(
    client: podium.Client, tmp_path: Path
) -> None:
    """A run that has grown is imported again. Another run with the same folder name is rejected."""
    path = write_events(tmp_path / "a" / "exp", _BEGIN, scalars(1, loss=1.0))
    import_results(client, path.parent)
    path.write_bytes(event_bytes(_BEGIN, scalars(1, loss=1.0), scalars(2, loss=0.5)))
    assert import_results(client, path.parent).recorded == 1
    write_events(tmp_path / "b" / "exp", _Event(wall_time=2e9), scalars(1, loss=3.0))
    [item] = import_results(client, tmp_path / "b").not_imported
    assert "was imported from another run" in item.why


@pytest.mark.parametrize(
    ("content", "why", "arms"),
    [
        (b"", "the file is empty", 0),
        (event_bytes(_BEGIN), "the event files have no scalars", 0),
        (event_bytes(_BEGIN, scalars(1, loss=1.0))[:-2], "the file is incomplete", 0),
        (
            event_bytes(_BEGIN, scalars(1, loss=1.0), scalars(2, loss=2.0))[:-9],
            "the file is inc",
            1,
        ),
        (event_bytes(_BEGIN, scalars(1, loss=1.0), b"\xff"), "damaged before byte", 1),
        (struct.pack("<QI", 2**60, 0), "damaged before byte 12: a checksum does not match", 0),
        (b"a text of another kind", "damaged before byte 12: a checksum does not match", 0),
    ],
)
def test_a_file_that_was_cut_off_is_reported(
    tmp_path: Path, content: bytes, why: str, arms: int
) -> None:
    """The values before the damage in a file are imported, and the damage is reported."""
    path = tmp_path / "run" / "events.out.tfevents.1"
    path.parent.mkdir()
    path.write_bytes(content)
    found = results(tmp_path)
    assert (len(found.arms), len(found.not_imported)) == (arms, 1)
    assert next(iter(found.not_imported.values())).startswith(why)


def test_a_hostile_length_is_reported(tmp_path: Path) -> None:
    """A record whose length is in the terabytes is reported as larger than the limit."""
    length = struct.pack("<Q", 2**42)
    checksum = struct.pack("<I", _events._masked_crc32c(length))
    path = write_text(tmp_path / "run" / "events.out.tfevents.1", "")
    path.write_bytes(length + checksum)
    assert results(tmp_path).not_imported == {
        "run/events.out.tfevents.1": "a record is larger than the limit of 67,108,864 bytes"
    }


def test_no_damage_causes_a_wrong_number(tmp_path: Path) -> None:
    """A file with changed or missing bytes is read without a crash, and gives no wrong number."""
    whole = event_bytes(_BEGIN, *[scalars(step, loss=0.5) for step in range(20)])
    draw = random.Random(1)  # noqa: S311 - the same damage every time
    path = write_text(tmp_path / "run" / "events.out.tfevents.1", "")
    for number in range(60):
        data = bytearray(whole[: draw.randrange(len(whole))] if number % 3 == 0 else whole)
        for _ in range(draw.randrange(1, 4)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        for item in read_results(tmp_path):
            if isinstance(item, FoundArm):
                assert set(item.arm.metrics.values()) <= {0.5}
            else:
                assert "not in the format" not in getattr(item, "why", "")


def test_two_training_runs_in_one_folder(tmp_path: Path) -> None:
    """Values that a second file has at the same steps replace the first ones, with a note."""
    write_events(tmp_path / "exp", _BEGIN, scalars(0, loss=1.0), scalars(1, loss=0.5))
    second = "events.out.tfevents.2.host"
    write_events(tmp_path / "exp", _BEGIN, scalars(0, loss=3.0), scalars(1, loss=0.5), name=second)
    found = results(tmp_path)
    assert found.arms["exp"].metrics == {"loss": 0.5}
    assert found.not_imported == {
        "exp": "'loss' has 1 value that a later value at the same step replaced"
    }
    assert found.wrong == set()


def test_hyperparameters_of_lightning(tmp_path: Path) -> None:
    """`hparams.yaml`, which Lightning writes beside the events, is the configuration."""
    write_events(tmp_path / "exp", _BEGIN, scalars(0, loss=1.0))
    write_text(tmp_path / "exp" / "hparams.yaml", "lr: 0.1\nseed: 7\n")
    config = _found(tmp_path).arm.run_config
    assert config.algorithm == podium.Component("tensorboard", {"lr": 0.1, "seed": 7})
    assert config.seed == 7


def test_hyperparameters_in_events_and_in_a_file(tmp_path: Path) -> None:
    """`hparams.yaml` is not read if the events have hyperparameters."""
    write_events(tmp_path / "exp", _BEGIN, hparams(1, lr=0.5), scalars(0, loss=1.0))
    write_text(tmp_path / "exp" / "hparams.yaml", "lr: 0.1\nseed: 7\n")
    config = _found(tmp_path).arm.run_config
    assert config.algorithm == podium.Component("tensorboard", {"lr": 0.5})
    assert config.seed is None


def test_the_first_file_of_a_run(tmp_path: Path) -> None:
    """A run is identified by the event file with the earliest time in its name.

    This file can be in any folder of the run.
    """
    early, late = (f"events.out.tfevents.{time}.host" for time in (1, 2))
    file = write_events(tmp_path / "run" / "validation", scalars(1, loss=0.5), name=early)
    identity = tensorboard._identity([file])
    write_events(tmp_path / "run" / "train", scalars(1, loss=0.75), name=late)
    write_events(tmp_path / "run", scalars(1, x=1.0), name="a.out.tfevents.3.host")
    assert _found(tmp_path).arm.run_id == identity
