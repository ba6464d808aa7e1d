"""The hooks of Inspect record each task while it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import podium
import pytest
from inspect_ai import Task, eval  # noqa: A004 - Inspect's name
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import includes
from inspect_ai.solver import Generate, Solver, TaskState, solver
from podium.importing import import_results
from podium.integrations.inspect_ai import record_evals
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]

_MODEL = "mockllm/model"


@pytest.fixture(autouse=True)
def _off() -> Iterator[None]:
    yield
    record_evals(None)


@solver  # type: ignore[untyped-decorator, unused-ignore]
def _answer(*, fails: bool = False) -> Solver:
    """Answers without the model, which would download a tokenizer to count tokens."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate
        if fails:
            raise RuntimeError
        state.output = ModelOutput.from_content(_MODEL, "output")
        return state

    return solve


def _task(*, fails: bool = False) -> Task:
    samples = [Sample(input="a", target="output"), Sample(input="b", target="nothing")]
    return Task(dataset=samples, solver=_answer(fails=fails), scorer=includes(), name="toy")


def test_a_task(ended: Ended, server: RunningServer, tmp_path: Path) -> None:
    """Samples are counted while it runs; the end and the scores are those of the log's import."""
    record_evals("evals")
    (log,) = eval(_task(), model=_MODEL, log_dir=str(tmp_path), display="none")
    assert log.status == "success"
    with podium.Client(server.address) as client:
        assert import_results(client, tmp_path, experiment="imported").recorded == 1
        (imported,) = client.experiment("imported").arms()
        arm, twin = ended("evals", imported.name), client.arm("imported", imported.name).get()
        report = import_results(client, tmp_path, experiment="evals")
    assert (arm.status, arm.group_name, arm.run_id) == ("completed", _MODEL, log.eval.run_id)
    assert arm.score("toy.accuracy") == 0.5
    assert [(row.name, row.metrics) for row in arm.evals] == [
        (row.name, row.metrics) for row in twin.evals
    ]
    assert arm.metrics == {"samples": 2}
    assert (report.recorded, "ARM_HAS_ATTEMPTS" in report.not_imported[0].why) == (0, True)


def test_a_task_that_fails(
    ended: Ended, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a sample fails the task, and so its arm; the environment names the experiment."""
    monkeypatch.setenv("PODIUM_INSPECT_EXPERIMENT", "failing")
    (log,) = eval(_task(fails=True), model=_MODEL, log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    with podium.Client(server.address) as client:
        (found,) = client.experiment("failing").arms()
    arm = ended("failing", found.name)
    assert (arm.status, arm.evals) == ("failed", [])
    assert "RuntimeError" in (arm.error or "")


def test_without_a_switch(server: RunningServer, tmp_path: Path) -> None:
    """Without an experiment, nothing is recorded."""
    eval(_task(), model=_MODEL, log_dir=str(tmp_path), display="none")
    with podium.Client(server.address) as client:
        assert list(client.experiments()) == []
