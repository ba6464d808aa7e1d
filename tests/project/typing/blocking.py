"""The types of the blocking client. Type checkers check this file. It is never run."""

from typing import assert_type

import numpy as np
import podium


def reading(client: podium.Client) -> None:
    """The calls of handles return objects of the model."""
    arm = client.arm("e", "a")
    assert_type(arm, podium.ArmHandle)
    assert_type(arm.eval("val", step=100), podium.EvalResult | None)
    assert_type(arm.score("test.pass_rate"), float | None)
    assert_type(arm.find_score("loss"), podium.Score | None)
    assert_type(arm.get(), podium.ArmResult)
    assert_type(arm.get().eval("val"), podium.EvalResult | None)
    assert_type(arm.get().score("loss"), float | None)
    assert_type(arm.evals(name="val", min_step=1), podium.Listing[podium.EvalResult])
    assert_type(client.experiments(name_prefix="nlp/"), podium.Listing[podium.Experiment])
    assert_type(client.experiments()[0], podium.Experiment)
    assert_type(client.experiments()[:2], podium.Listing[podium.Experiment])
    assert_type(next(client.experiments().stream()), podium.Experiment)
    experiment = client.experiment("e")
    assert_type(experiment, podium.ExperimentHandle)
    assert_type(experiment.get(), podium.Experiment)
    assert_type(experiment.arm("a"), podium.ArmHandle)
    assert_type(experiment.arms(status="failed"), podium.Listing[podium.ArmSummary])
    assert_type(
        experiment.arms(status=[podium.ArmStatus.FAILED]), podium.Listing[podium.ArmSummary]
    )


def recording(experiment: podium.ExperimentHandle, config: podium.RunConfig) -> None:
    """Calls that record return their result, and an attempt is a context manager."""
    assert_type(experiment.declare(direction="maximize"), podium.RecordResult)
    assert_type(experiment.declare().kept_fields, tuple[podium.KeptField, ...])
    with experiment.start_arm(config, resume_step=3) as arm:
        assert_type(arm, podium.ArmRun)
        arm.log({"loss": 0.31, "steps": 3})
        arm.log_eval("val", {"pass_rate": 0.52}, step=100, tags=["val"], breakdowns={"a": [1]})
        with arm.evaluating("val", step=100) as evaluation:
            assert_type(evaluation, podium.Evaluation)
            evaluation.log({"pass_rate": 0.5}, breakdowns={"a": [1]})
        arm.finish(podium.ArmStatus.FAILED, error="no memory")
    assert_type(experiment.record_arm(arm.get()), podium.RecordResult)
    assert_type(experiment.delete(allow_missing=True), int)
    assert_type(arm.delete(), int)


def recorders(experiment: podium.ExperimentHandle, config: podium.RunConfig) -> None:
    """The client's handles implement the recording interface."""
    recorder: podium.ExperimentRecorder = experiment
    with recorder.start_arm(config) as arm:
        assert_type(arm, podium.ArmRecorder)
    run: podium.ArmRecorder = experiment.start_arm(config)
    run.finish()


def outbox(config: podium.RunConfig) -> None:
    """The recorders of `podium.record` implement the recording interface, too."""
    with podium.record("e", success_metric="m", strict=True) as experiment:
        assert_type(experiment, podium.ExperimentRecording)
        recorder: podium.ExperimentRecorder = experiment
        recorder.record_arm(podium.ArmResult("a", config, "failed"))
        with experiment.start_arm(config) as arm:
            assert_type(arm, podium.ArmRecording)
            attempt: podium.ArmRecorder = arm
            attempt.log({"loss": 0.3})
            with arm.evaluating("val") as evaluation:
                assert_type(evaluation, podium.Evaluation)
            assert_type(arm.flush(timeout=1), podium.Flushed)
            assert_type(arm.counters, podium.Counters)


def numbers_of_libraries(arm: podium.ArmHandle, config: podium.RunConfig) -> None:
    """Numbers can be of any library. Tags can be in any container."""
    arm.eval("val", step=np.int64(1))
    arm.get().eval("val", step=np.int64(1))
    arm.log_eval("val", {"acc": np.float32(0.5)}, step=np.int64(1), tags={"a"})
    arm.log_eval("val", {"acc": np.float64(0.5)}, step=100.0, tags=("a", "b"))
    arm.log_eval("val", {"acc": 0.5}, tags=(tag for tag in ["a"]))
    experiment = podium.record("e", tags=["a"], direction="minimize")
    with experiment.start_arm(config, resume_step=np.int64(1)) as run:
        run.log_eval("val", {"acc": 0.5}, step=np.int64(2), tags=["a"])
        run.finish("cancelled")


def mistakes(client: podium.Client) -> None:
    """Type checkers report arguments of wrong types, and attributes that do not exist."""
    client.arm("e", "a").eval("val", 100)  # type: ignore[call-arg]
    client.arm("e", "a").eval(5)  # type: ignore[arg-type]
    client.arm("e", "a").log({"loss": "0.3"})  # type: ignore[dict-item]
    client.experiment("e").start_arm("config")  # type: ignore[arg-type]
    client.arm("e", "a").eval("val", step="3")  # type: ignore[arg-type]
    client.arm("e", "a").log_eval("val", {"a": 1}, tags="test")  # type: ignore[arg-type]
    client.arm("e", "a").log_eval("val", {"a": 1}, step="3")  # type: ignore[arg-type]
    client.arm("e", "a").finish("complete")  # type: ignore[arg-type]
    client.arm("e", "a").finish("pending")  # type: ignore[arg-type]
    client.experiments(status="cancelled")  # type: ignore[arg-type]
    experiment = client.experiment("e")
    experiment.declare(direction="max")  # type: ignore[arg-type]
    experiment.declare(tags="test")  # type: ignore[arg-type]
    experiment.arms(status="complete")  # type: ignore[arg-type]
    experiment.arms(status=["complete"])  # type: ignore[list-item]
    experiment.arms(tags="test")  # type: ignore[arg-type]
    experiment.rank(direction="max")  # type: ignore[arg-type]
    experiment.best(direction="down")  # type: ignore[arg-type]
    experiment.rank_groups(status="done")  # type: ignore[arg-type]
    experiment.scores("test.acc")  # type: ignore[arg-type]
    experiment.compare("a", "b", kind="groups")  # type: ignore[arg-type]
    experiment.compare("a", "b", evals="test")  # type: ignore[arg-type]
    experiment.curve("val.acc", "a")  # type: ignore[arg-type]
    client.arms  # type: ignore[attr-defined] # noqa: B018 - it is the mistake


def recording_mistakes(arm: podium.ArmRecording) -> None:
    """Type checkers report the same wrong arguments for recorders as for handles."""
    arm.log_eval("val", {"a": 1}, tags="test")  # type: ignore[arg-type]
    arm.finish("complete")  # type: ignore[arg-type]
    arm.evaluating("val", tags="test")  # type: ignore[arg-type]
    podium.record("e", direction="max")  # type: ignore[arg-type]
    podium.record("e", tags="test")  # type: ignore[arg-type]


def errors(error: podium.PodiumError) -> None:
    """An error has a code, a reason, metadata and `refusals`."""
    assert_type(error.code, str)
    assert_type(error.reason, str)
    assert_type(error.metadata, dict[str, str])
    assert_type(error.refusals, list[podium.RefusedEvent])


def comparing(experiment: podium.ExperimentHandle) -> None:
    """A read that takes several calls returns an object of the model."""
    assert_type(experiment.compare("a", "b", kind="group"), podium.Comparison)
    assert_type(experiment.curve("val.acc", by_group=True), podium.Curves)
