"""Tests of the tracker for accelerate, which records a training loop of the user's own."""

from collections.abc import Callable

import podium
import pytest
import torch
from accelerate import Accelerator
from podium.integrations.accelerate import PodiumTracker
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]


def test_a_loop(ended: Ended) -> None:
    """Training metrics, in-loop rows and the result are recorded, with the configuration."""
    accelerator = Accelerator(log_with=PodiumTracker("tracked", "arm"), cpu=True)
    accelerator.init_trackers("ignored", config={"lr": 0.5, "seed": 3})
    for step in range(2):
        accelerator.log({"loss": torch.tensor(1.5), "val_acc": 0.25 + step}, step=step)
    accelerator.log({"test/acc": 0.75})
    accelerator.end_training()
    arm = ended("tracked", "arm")
    assert arm.status == "completed"
    assert arm.metrics == {"loss": 1.5}
    rows = {(row.name, row.step): row.metrics for row in arm.evals}
    assert rows == {
        ("val", 0): {"acc": 0.25},
        ("val", 1): {"acc": 1.25},
        ("test", None): {"acc": 0.75},
        ("val", None): {"acc": 1.25},
    }
    assert arm.score("acc") == 0.75
    config = arm.run_config
    assert config is not None
    assert config.algorithm is not None
    assert (config.seed, config.algorithm.params) == (3, {"lr": 0.5})


def test_a_training_that_fails(ended: Ended) -> None:
    """An error that leaves the `with` block makes the arm failed, and is recorded.

    Without `config`, the first logged value begins the arm.
    """
    tracker = PodiumTracker("tracked", "broken")
    accelerator = Accelerator(log_with=tracker, cpu=True)
    with pytest.raises(RuntimeError), tracker:  # noqa: PT012 - the block of a user
        accelerator.init_trackers("ignored")
        accelerator.log({"loss": 2.0}, step=1)
        raise RuntimeError
    arm = ended("tracked", "broken")
    assert (arm.status, arm.metrics) == ("failed", {"loss": 2.0})
    assert "RuntimeError" in (arm.error or "")


def test_values_after_the_end(ended: Ended, server: RunningServer) -> None:
    """A result that is logged after `end_training` belongs to the arm that has ended."""
    accelerator = Accelerator(log_with=PodiumTracker("after", "arm"), cpu=True)
    accelerator.init_trackers("ignored", config={})
    accelerator.log({"loss": 2.0}, step=0)
    accelerator.end_training()
    accelerator.log({"test/acc": 0.5})
    accelerator.get_tracker("podium", unwrap=True).flush(120)
    arm = ended("after", "arm")
    assert (arm.status, arm.score("test.acc")) == ("completed", 0.5)
    with podium.Client(server.address) as client:
        assert [found.name for found in client.experiment("after").arms()] == ["arm"]


def test_finish_before_an_arm_has_begun(server: RunningServer) -> None:
    """If `finish` is called on a tracker that has begun no arm, nothing is recorded."""
    PodiumTracker("nothing", "arm").finish()
    with podium.Client(server.address) as client:
        assert [found.name for found in client.experiments()] == []
