"""Records evaluations of EleutherAI's lm-evaluation-harness.

with PodiumTracker("leaderboard") as tracker:
    results = lm_eval.simple_evaluate("hf", model_args=..., tasks=[...], evaluation_tracker=tracker)
    tracker.save_results_aggregated(results)
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

from podium.importing._identities import name_with_seed
from podium.importing.kinds.lm_eval import (
    PROMPTS,
    directions_of,
    evals_of,
    group_of,
    run_config_of,
    time_text,
)
from podium.integrations._callers import caller_variables
from podium.integrations._missing import missing
from podium.integrations._recorders import recorder_of
from podium.integrations._training import ArmOptions, CallbackBase, Training
from podium.scoring import direction_metadata

try:
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.loggers.evaluation_tracker import GeneralConfigTracker
except ImportError as error:
    raise missing("lm_eval", "lm-eval", error) from error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PodiumTracker"]

_ARGUMENTS = {
    **{key: key for key in ("batch_size", "device", "limit", "gen_kwargs")},
    "random_seed": "random_seed",
    "numpy_seed": "numpy_random_seed",
    "torch_seed": "torch_random_seed",
    "fewshot_seed": "fewshot_random_seed",
}
"""Arguments of `simple_evaluate` that are settings, by their names in the file of results."""


class PodiumTracker(CallbackBase[Training], EvaluationTracker):  # type: ignore[misc, unused-ignore]
    """Records an evaluation as an arm. The arm is running while the harness evaluates the model.

    The arm is named `MODEL@SETTINGS-TIME`, in the group `MODEL@SETTINGS`. Its rows are those that
    `podium import` makes from the file of results. The harness does not report when single tasks
    end, so `save_results_aggregated` records all rows. If the `with` block ends without this call,
    the arm is completed without rows. If the block raises an error, the arm is failed.

    Args:
        experiment: The name of the experiment.
        name: The name of the arm; `MODEL@SETTINGS-TIME` if not given.
        output_path: The folder for the harness's own file of results. If None, no file is written.
        options: The same options as `start_arm`: group_id, group_name, run_id, attempt_id, order,
            restart.
    """

    def __init__(
        self,
        experiment: str,
        name: str | None = None,
        *,
        output_path: str | None = None,
        **options: Unpack[ArmOptions],
    ) -> None:
        super().__init__(output_path=output_path)
        self.general_config_tracker = _ConfigTracker(self._begin)
        self._experiment = experiment
        self._name = name
        self._options = options
        self._training = Training(experiment)

    def _begin(self, model: str, content: dict[str, Any]) -> None:
        config = run_config_of(content, model, model)
        group = group_of(config)
        time = time_text(datetime.fromtimestamp(content["date"], UTC))
        config.name = self._name or f"{name_with_seed(group, config.seed)}-{time}"
        options: ArmOptions = {"group_name": group, **self._options}
        self._training = Training(self._experiment, **options)
        self._training.begin(config)

    def save_results_aggregated(
        self, results: dict[str, Any] | None, samples: dict[str, Any] | None = None
    ) -> None:
        """Records the results, and writes the harness's own file if there is an `output_path`."""
        if results is None:  # not the main process
            return
        super().save_results_aggregated(results, samples)
        if not self._training.is_running:
            model = self.general_config_tracker.model_name or results["config"].get("model")
            now = datetime.now(UTC).timestamp()
            self._begin(str(model), {"date": now, **results})
        arm = self._training.arm
        if arm is None:
            return
        for row in evals_of(results, None):
            arm.log_eval(
                row.name,
                row.metrics,
                tags=row.tags,
                breakdowns=row.breakdowns,
                benchmark_id=row.benchmark_id,
            )
        directions = direction_metadata(directions_of(results))
        if directions:
            recorder_of(self._experiment, metadata=directions)
        self._training.end()


class _ConfigTracker(GeneralConfigTracker):  # type: ignore[misc, unused-ignore]
    """The part of a tracker that the harness calls before it evaluates.

    Calls `on_start` at that point.
    """

    def __init__(self, on_start: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__()
        self._on_start = on_start

    def log_experiment_args(self, *args: Any, **kwargs: Any) -> None:
        """Calls `on_start`, which begins the arm."""
        super().log_experiment_args(*args, **kwargs)
        given = caller_variables("lm_eval.evaluator", "evaluation_tracker")
        config = {key: given.get(name) for key, name in _ARGUMENTS.items()}
        model = given.get("model")
        kind = model if isinstance(model, str) else type(model).__name__
        config |= {"model": kind, "model_args": given.get("model_args")}
        if hasattr(given.get("lm"), "get_model_info"):
            config |= given["lm"].get_model_info()
        content = {key: getattr(self, key, None) for key in PROMPTS}
        date = given.get("start_date") or datetime.now(UTC).timestamp()
        name = str(self.model_name or self.model_source)
        self._on_start(name, {**content, "config": config, "date": date})
