"""Tests of the tracker for lm-evaluation-harness, which records an evaluation while it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import podium
import pytest
from datasets import Dataset
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from podium.comparing import configs_differ
from podium.importing import import_results
from podium.integrations.lm_eval import PodiumTracker
from podium_server.testing import RunningServer

Ended = Callable[[str, str], podium.ArmResult]


def _data(**_: Any) -> dict[str, Dataset]:
    return {"test": Dataset.from_dict({"q": ["a", "b", "c", "d"], "gold": [0, 0, 0, 1]})}


_TASK = {
    "task": "toy",
    "custom_dataset": _data,
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{q}}",
    "doc_to_choice": ["yes", "no"],
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc"}],
    "metadata": {"version": 2.0},
}


class _Model(LM):  # type: ignore[misc, unused-ignore]
    """A model that prefers `yes`.

    When the model answers, it stores in `was_running` whether the tracker has begun its arm.
    """

    def __init__(self, tracker: PodiumTracker, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.tracker = tracker
        self.was_running = False

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        self.was_running = self.tracker.arm is not None
        if self.fails:
            raise RuntimeError
        return [(-1.0 if each.args[1].strip() == "yes" else -2.0, False) for each in requests]

    loglikelihood_rolling = generate_until = loglikelihood


def _evaluate(tracker: PodiumTracker, model: _Model) -> Any:
    return lm_eval.simple_evaluate(
        model,
        model_args={"pretrained": "org/toy"},
        tasks=[_TASK],
        limit=4,
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False),  # the index of all tasks takes seconds
        random_seed=3,
        evaluation_tracker=tracker,
    )


def test_an_evaluation(ended: Ended, server: RunningServer, tmp_path: Path) -> None:
    """The arm begins before the model answers.

    A later import of the file of results changes nothing.
    """
    with PodiumTracker("board", output_path=str(tmp_path)) as tracker:
        model = _Model(tracker)
        tracker.save_results_aggregated(_evaluate(tracker, model))
        assert tracker.arm is not None
        name = tracker.arm.name
    assert model.was_running
    arm = ended("board", name)
    group = arm.group_name
    assert (arm.status, group is not None and group[:8]) == ("completed", "org/toy@")
    assert name.startswith(f"{group}-seed3-2")
    (row,) = arm.evals
    assert (row.name, row.benchmark_id, row.tags) == ("toy", "toy@2.0,0-shot", ["test"])
    assert row.metrics == {"acc": 0.75, "n_samples": 4}
    config = arm.run_config
    assert config is not None
    assert (config.seed, config.eval["limit"]) == (3, 4)
    with podium.Client(server.address) as client:
        again = import_results(client, tmp_path, experiment="board")
        assert (again.recorded, again.unchanged, again.not_imported) == (0, 1, [])
        assert import_results(client, tmp_path, experiment="imported").recorded == 1
        imported = client.arm("imported", f"{group}-seed3").get()
    assert [(each.name, each.metrics) for each in imported.evals] == [(row.name, row.metrics)]
    assert not configs_differ([config, imported.run_config])


def test_a_model_that_fails(ended: Ended) -> None:
    """An error that leaves the `with` block makes the arm failed, and is recorded."""
    with pytest.raises(RuntimeError), PodiumTracker("board", "broken") as tracker:
        _evaluate(tracker, _Model(tracker, fails=True))
    arm = ended("board", "broken")
    assert (arm.status, arm.evals) == ("failed", [])
    assert "RuntimeError" in (arm.error or "")


def test_results_without_the_tracker(ended: Ended) -> None:
    """The tracker records given results even if it took no part in their evaluation."""
    results = {
        "results": {"wiki": {"ppl,none": 8.5}},
        "higher_is_better": {"wiki": {"ppl": False}},
        "config": {"model": "hf", "model_args": "pretrained=org/toy"},
    }
    PodiumTracker("late", "arm").save_results_aggregated(results)
    assert ended("late", "arm").score("wiki.ppl") == 8.5
