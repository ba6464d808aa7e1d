"""Records evaluations of Inspect while they run: each task of each model is an arm.

record_evals("safety")
inspect_ai.eval(tasks, model=...)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from podium._interface.endings import ending_of
from podium._values.enums import ArmStatus
from podium.integrations._missing import missing
from podium.integrations._recorders import recorder_of

try:
    from inspect_ai.hooks import Hooks, RunEnd, SampleEnd, TaskEnd, TaskStart, hooks
except ImportError as error:
    raise missing("inspect_ai", "inspect-ai", error) from error

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from podium._interface.recorders import ArmRecorder, ExperimentRecorder
    from podium._model.results import ArmResult

__all__ = ["PodiumHooks", "record_evals"]

_VARIABLE = "PODIUM_INSPECT_EXPERIMENT"
_experiments: list[str | ExperimentRecorder] = []


def record_evals(experiment: str | ExperimentRecorder | None) -> None:
    """Records all later evaluations of this process.

    For the command `inspect eval`, set the environment variable PODIUM_INSPECT_EXPERIMENT instead.

    Args:
        experiment: The name of the experiment, or the recorder that `podium.record` returned. None
            stops recording.
    """
    _experiments[:] = [] if experiment is None else [experiment]


def _experiment() -> str | ExperimentRecorder | None:
    return _experiments[0] if _experiments else os.environ.get(_VARIABLE)


@hooks(name="podium", description="Records evaluations to Podium")
class PodiumHooks(Hooks):  # type: ignore[misc, unused-ignore]
    """The hooks that Inspect calls. An arm is like one that is imported from the task's log.

    While a task runs, the training metric `samples` counts its finished samples. When it ends, each
    of its scores is a post-training row. A task that failed or was cancelled is an arm with that
    status.
    """

    def __init__(self) -> None:
        self._arms: dict[str, ArmRecorder] = {}
        self._samples: dict[str, int] = {}

    def enabled(self) -> bool:
        """Returns whether there is an experiment to record to."""
        return bool(_experiment())

    async def on_task_start(self, data: TaskStart) -> None:
        """Begins the arm of a task."""
        recorder = _experiment()
        if not recorder:
            return
        if isinstance(recorder, str):
            recorder = recorder_of(recorder)
        arm = _arm_of(data.spec, plan=data.plan, status="started")
        self._samples[data.eval_id] = 0
        self._arms[data.eval_id] = recorder.start_arm(
            arm.run_config, name=arm.name, group_name=arm.group_name, run_id=arm.run_id
        )

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Counts the finished samples of a task."""
        if data.eval_id in self._arms:
            self._samples[data.eval_id] += 1
            count = self._samples[data.eval_id]
            self._arms[data.eval_id].log({"samples": count}, step=count)

    async def on_task_end(self, data: TaskEnd) -> None:
        """Records the scores of a task, and how it ended."""
        self._record(data.log)

    async def on_run_end(self, data: RunEnd) -> None:
        """Records the tasks that an error ended: Inspect does not report their end before."""
        for log in data.logs:
            self._record(log)
        ending = ending_of(data.exception or KeyboardInterrupt("the run ended before the task"))
        for eval_id in tuple(self._arms):
            self._end(eval_id, ending.status, ending.error)

    def _record(self, log: EvalLog) -> None:
        recorder = self._arms.get(log.eval.eval_id)
        if recorder is None:
            return
        ended = {"results": log.results, "stats": log.stats, "error": log.error}
        arm = _arm_of(log.eval, plan=log.plan, status=log.status, **ended)
        for row in arm.evals:
            recorder.log_eval(
                row.name,
                row.metrics,
                tags=row.tags,
                benchmark_id=row.benchmark_id,
                eval_seconds=row.eval_seconds,
            )
        self._end(log.eval.eval_id, ArmStatus(arm.status), arm.error)

    def _end(self, eval_id: str, status: ArmStatus, error: str | None) -> None:
        arm = self._arms.pop(eval_id)
        del self._samples[eval_id]
        arm.finish(status, error=error)
        arm.__exit__(None, None, None)  # closes its files


def _arm_of(spec: Any, **parts: Any) -> ArmResult:
    """Returns the arm that an import makes of a log with these parts."""
    from podium.importing.kinds.inspect_ai import arm_of  # noqa: PLC0415 - it loads protobuf

    given = {"eval": spec, **parts}
    return arm_of(
        {
            key: part.model_dump(mode="json") if hasattr(part, "model_dump") else part
            for key, part in given.items()
        }
    )
