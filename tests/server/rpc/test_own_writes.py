"""Tests that clients read their own writes, beside other writers and after deletions."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import podium
import pytest
from podium_server.testing import running_server

from tests.sparse import sparse
from tests.stores import store_url

_WRITERS = 4


@pytest.mark.slow
@pytest.mark.parametrize("writes", sparse([20, 200]))
def test_clients_read_their_own_writes(writes: int, tmp_path: Path) -> None:
    """After each response, a client reads its last write, while other clients write, too."""
    with running_server(store_url(tmp_path)) as server:
        with podium.Client(server.address) as client:
            client.experiment("x").declare()

        def write_and_read(number: int) -> None:
            with podium.Client(server.address) as client:
                rng = Random(number)  # noqa: S311 - the same changes each time
                _write_and_read(client.experiment("x"), f"arm{number}", writes, rng)

        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(write_and_read, range(_WRITERS)))


def _write_and_read(
    experiment: podium.ExperimentHandle, name: str, writes: int, rng: Random
) -> None:
    arm = experiment.arm(name)
    experiment.record_arm(podium.ArmResult(name, podium.RunConfig(name), "running"))
    expected: dict[str, float] = {}
    for number in range(writes):
        _CHANGES[rng.randrange(len(_CHANGES))](experiment, name, float(number), expected)
        for _ in range(rng.randrange(1, 3)):
            row = arm.eval("val")
            assert (row and row.metrics.get("acc")) == expected.get("val.acc")
            assert arm.score("val.acc") == expected.get("val.acc")
            assert arm.score("loss") == expected.get("loss")
            assert arm.score("val.none") is None


_Change = Callable[[podium.ExperimentHandle, str, float, dict[str, float]], None]


def _new_row(
    experiment: podium.ExperimentHandle, name: str, value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).log_eval("val", {"acc": value}, step=int(value))
    expected["val.acc"] = value


def _new_loss(
    experiment: podium.ExperimentHandle, name: str, value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).log({"loss": value})
    expected["loss"] = value


def _new_life(
    experiment: podium.ExperimentHandle, name: str, _value: float, expected: dict[str, float]
) -> None:
    experiment.arm(name).delete()
    experiment.record_arm(podium.ArmResult(name, podium.RunConfig(name), "running"))
    expected.clear()


_CHANGES: list[_Change] = [_new_row, _new_row, _new_loss, _new_life]


def test_a_deleted_experiment_answers_no_more(tmp_path: Path) -> None:
    """A deleted experiment is not found. A new one of its name has none of its results."""
    store = store_url(tmp_path)
    with running_server(store) as server, podium.Client(server.address) as client:
        experiment = client.experiment("x")
        for value in (0.25, None):
            experiment.declare()
            metrics = {} if value is None else {"acc": value}
            arm = podium.ArmResult("a", podium.RunConfig("a"), "completed", metrics)
            experiment.record_arm(arm)
            assert [experiment.arm("a").score("acc") for _ in range(3)] == [value] * 3
            experiment.delete()
            assert _reason(experiment) == "EXPERIMENT_NOT_FOUND"


def _reason(experiment: podium.ExperimentHandle) -> str:
    try:
        experiment.arm("a").score("acc")
    except podium.NotFoundError as error:
        return error.reason
    return "none"
