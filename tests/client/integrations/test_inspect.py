"""Tests of the hooks for Inspect, which record each task while it runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import podium
import pytest
from inspect_ai import Task, eval  # noqa: A004 - Inspect's name
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import includes
from inspect_ai.solver import Generate, Solver, TaskState, solver
from podium.comparing import configs_differ
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
    """Answers without the model, which would have to download a tokenizer to count tokens."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate
        if fails:
            raise RuntimeError
        state.output = ModelOutput.from_content(_MODEL, "output")
        return state

    return solve


def _task(name: str = "toy", *, fails: bool = False) -> Task:
    samples = [Sample(input="a", target="output"), Sample(input="b", target="nothing")]
    return Task(dataset=samples, solver=_answer(fails=fails), scorer=includes(), name=name)


def test_a_task(ended: Ended, server: RunningServer, tmp_path: Path) -> None:
    """The arm of a task has the same rows and settings as an import of the task's log.

    The arm's metric `samples` is the number of samples. A later import of the log changes nothing.
    """
    record_evals("evals")
    (log,) = eval(_task(), model=_MODEL, log_dir=str(tmp_path), display="none")
    assert log.status == "success"
    with podium.Client(server.address) as client:
        assert import_results(client, tmp_path, experiment="imported").recorded == 1
        (imported,) = client.experiment("imported").arms()
        arm = ended("evals", f"{imported.name}-{log.eval.run_id[:8]}")
        twin = client.arm("imported", imported.name).get()
        report = import_results(client, tmp_path, experiment="evals")
    assert (arm.status, arm.group_name, arm.run_id) == (
        "completed",
        imported.group_name,
        log.eval.run_id,
    )
    assert arm.score("toy.accuracy") == 0.5
    rows = [[(row.name, row.benchmark_id, row.metrics) for row in one.evals] for one in (arm, twin)]
    assert rows[0] == rows[1]
    assert arm.metrics == {"samples": 2}
    assert not configs_differ([arm.run_config, twin.run_config])
    assert (report.recorded, report.unchanged, report.not_imported) == (0, 1, [])


def test_several_tasks(ended: Ended, server: RunningServer, tmp_path: Path) -> None:
    """All successful tasks of a run are one arm. A task that fails gets an arm of its own."""
    record_evals("several")
    tasks = [_task("a"), _task("b"), _task("bad", fails=True)]
    run_id = eval(tasks, model=_MODEL, log_dir=str(tmp_path), display="none")[0].eval.run_id
    with podium.Client(server.address) as client:
        import_results(client, tmp_path, experiment="imported")
        main, failed = sorted(client.experiment("imported").arms(), key=lambda arm: arm.status)
        arm = ended("several", f"{main.name}-{run_id[:8]}")
        assert ended("several", failed.name).status == "failed"
        report = import_results(client, tmp_path, experiment="several")
    assert (main.eval_count, [row.name for row in arm.evals]) == (2, ["a", "b"])
    assert (report.recorded, report.unchanged, report.not_imported) == (0, 2, [])


def test_a_task_that_fails(
    ended: Ended, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a sample fails, the arm of its task is failed.

    Here, the environment names the experiment.
    """
    monkeypatch.setenv("PODIUM_INSPECT_EXPERIMENT", "failing")
    (log,) = eval(_task(fails=True), model=_MODEL, log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    with podium.Client(server.address) as client:
        (found,) = client.experiment("failing").arms()
        arm = ended("failing", found.name)
        report = import_results(client, tmp_path, experiment="failing")
    assert (arm.status, arm.evals) == ("failed", [])
    assert "RuntimeError" in (arm.error or "")
    assert (report.recorded, report.not_imported[0].why) == (
        0,
        f"it is recorded already, as {found.name!r}",
    )


def test_without_an_experiment(server: RunningServer, tmp_path: Path) -> None:
    """If no experiment is set, the hooks record nothing."""
    eval(_task(), model=_MODEL, log_dir=str(tmp_path), display="none")
    with podium.Client(server.address) as client:
        assert list(client.experiments()) == []
