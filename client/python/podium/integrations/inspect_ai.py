"""Records evaluations of Inspect while they run: all tasks of a model are one arm.

record_evals("safety")
inspect_ai.eval(tasks, model=...)
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
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

    from podium._interface.endings import Ending
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


@dataclass(slots=True)
class _Arm:
    """The arm of a model in one run of Inspect, and the arm's tasks."""

    run_id: str
    recorder: ArmRecorder
    tasks: list[str] = field(default_factory=list)
    samples: int = 0
    is_scored: bool = False
    failed: list[ArmResult] = field(default_factory=list)


@hooks(name="podium", description="Records evaluations to Podium")
class PodiumHooks(Hooks):  # type: ignore[misc, unused-ignore]
    """The hooks that Inspect calls. An import of the logs records the same rows and settings.

    All tasks of a run that have the same model and settings are one arm, `MODEL@SETTINGS-RUN`.
    While they run, the training metric `samples` counts the finished samples. When a task ends,
    each of its scores becomes a post-training row. If an arm has scores, each of its failed and
    cancelled tasks becomes another arm. An arm without scores gets the status of such a task.
    """

    def __init__(self) -> None:
        self._arms: dict[str, _Arm] = {}
        self._tasks: dict[str, _Arm] = {}

    def enabled(self) -> bool:
        """Returns whether there is an experiment to record to."""
        return bool(_experiment())

    async def on_task_start(self, data: TaskStart) -> None:
        """Adds a task to the arm of its model. The first task begins the arm."""
        recorder = _experiment()
        if not recorder:
            return
        parts = _parts(data.spec, plan=data.plan, status="started")
        arm, place = _logs().arm_of(parts), _logs().evaluation_of(parts)
        names = [*place.arms_of_run(), (arm.group_name, arm.name)]
        for group, name in names:
            if name not in self._arms:
                config = replace(arm.run_config, name=name)
                begun = _recorder(recorder).start_arm(
                    config, name=name, group_name=group, run_id=arm.run_id
                )
                self._arms[name] = _Arm(data.run_id, begun)
            if data.spec.task not in self._arms[name].tasks:
                self._arms[name].tasks.append(data.spec.task)
                self._tasks[data.eval_id] = self._arms[name]
                return

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Records the number of finished samples of an arm."""
        if data.eval_id in self._tasks:
            arm = self._tasks[data.eval_id]
            arm.samples += 1
            arm.recorder.log({"samples": arm.samples}, step=arm.samples)

    async def on_task_end(self, data: TaskEnd) -> None:
        """Records the scores of a task."""
        self._record(data.log)

    async def on_run_end(self, data: RunEnd) -> None:
        """Ends the arms of a run. Inspect reports tasks with an error only to this hook."""
        for log in data.logs:
            self._record(log)
        ending = ending_of(data.exception or KeyboardInterrupt("the run ended before the task"))
        for name, arm in list(self._arms.items()):
            if arm.run_id == data.run_id:
                del self._arms[name]
                _end(arm, ending)
        self._tasks = {id_: arm for id_, arm in self._tasks.items() if arm.run_id != data.run_id}

    def _record(self, log: EvalLog) -> None:
        arm = self._tasks.pop(log.eval.eval_id, None)
        if arm is None:
            return
        ended = {"results": log.results, "stats": log.stats, "error": log.error}
        result = _logs().arm_of(_parts(log.eval, plan=log.plan, status=log.status, **ended))
        if result.status != ArmStatus.COMPLETED:
            arm.failed.append(result)
            return
        arm.is_scored = True
        for row in result.evals:
            arm.recorder.log_eval(
                row.name,
                row.metrics,
                tags=row.tags,
                benchmark_id=row.benchmark_id,
                eval_seconds=row.eval_seconds,
            )


def _logs() -> Any:
    """Loads the module that imports logs, and returns it."""
    from podium.importing.kinds import inspect_ai  # noqa: PLC0415 - it loads protobuf

    return inspect_ai


def _end(arm: _Arm, ending: Ending) -> None:
    """Ends an arm with the status of its tasks.

    If the arm has scores, it is completed, and each of its failed or cancelled tasks is recorded as
    another arm. Otherwise, it gets the status of the first such task, or `ending`.
    """
    if arm.is_scored:
        arm.recorder.finish(ArmStatus.COMPLETED)
        for failed in arm.failed:
            _record_failed(failed)
    elif arm.failed:
        arm.recorder.finish(ArmStatus(arm.failed[0].status), error=arm.failed[0].error)
    else:
        arm.recorder.finish(ending.status, error=ending.error)
    arm.recorder.__exit__(None, None, None)  # closes its files


def _record_failed(failed: ArmResult) -> None:
    recorder = _experiment()
    if recorder:
        arm = _recorder(recorder).start_arm(
            failed.run_config, name=failed.name, group_name=failed.group_name, run_id=failed.run_id
        )
        arm.finish(ArmStatus(failed.status), error=failed.error)
        arm.__exit__(None, None, None)


def _recorder(experiment: str | ExperimentRecorder) -> ExperimentRecorder:
    return recorder_of(experiment) if isinstance(experiment, str) else experiment


def _parts(spec: Any, **parts: Any) -> dict[str, Any]:
    """Returns the parts of a log as JSON objects."""
    given = {"eval": spec, **parts}
    return {
        key: part.model_dump(mode="json") if hasattr(part, "model_dump") else part
        for key, part in given.items()
    }
