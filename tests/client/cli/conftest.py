"""A server for the whole folder, with one experiment that every test may read."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import podium
import pytest
from podium._outbox import outbox_folder
from podium_server.testing import running_server

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Yields the address of a server that tests share. Each test writes to its own experiments."""
    with running_server() as server, podium.Client(server.address) as client:
        _fill(client.experiment("sweep"))
        yield server.address


@pytest.fixture
def name(address: str) -> str:
    """Returns the name of a declared experiment that no other test uses."""
    name = f"tests/cli_{next(_NUMBERS)}"
    with podium.Client(address) as client:
        client.experiment(name).declare()
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns the folder of all outboxes."""
    return tmp_path / "outbox"


@pytest.fixture
def outbox(root: Path, address: str) -> Path:
    """Returns an outbox for the server of this folder."""
    return outbox_folder(root, address)


def _fill(experiment: podium.ExperimentHandle) -> None:
    experiment.declare(
        hypothesis="Rank 4 is enough.",
        success_metric="test.acc",
        direction="maximize",
        tags=["lora"],
        metadata={"gpus": 8, "owner": "ana"},
    )
    for rank, status in [(1, "completed"), (4, "completed"), (16, "failed")]:
        experiment.record_arm(_arm(rank, status))


def _arm(rank: int, status: str) -> podium.ArmResult:
    config = podium.RunConfig(
        f"r{rank}",
        model=podium.ModelConfig("qwen"),
        algorithm=podium.Component("sft", {"rank": rank}),
        tags=["lora"] if rank > 1 else [],
        seed=0,
    )
    val = [
        podium.EvalResult("val", metrics={"acc": step / 1000}, step=step, tags=["val"])
        for step in (-100, 0, 100)
    ]
    test = podium.EvalResult(
        "test", metrics={"acc": rank / 3, "ppl": float("nan")}, tags=["test"], eval_seconds=61
    )
    test.breakdowns = {"0": {"n": 3}, "1": [1.5, None]}
    base = podium.EvalResult("b@x/gpt-4.1", metrics={"acc": 0.9}, model_ref="x/gpt-4.1")
    failed = status == "failed"
    return podium.ArmResult(
        f"r{rank}",
        config,
        status,
        {"train/loss": 1 / rank},
        evals=val if failed else [*val, test, base],
        error="Traceback:\n  File x\nError: \x1b[mno\n" if failed else None,
        train_seconds=3725,
        group_name="small" if rank < 16 else None,
    )
