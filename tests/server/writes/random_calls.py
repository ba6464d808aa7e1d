"""Random calls that often affect the same rows: they have few names, steps and attempts."""

from random import Random
from typing import Any

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from podium.v1.arm_result_pb2 import Annotations, ArmResult, Attempt, Provenance
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import Event
from podium.v1.recording_service_pb2 import (
    DeleteArmRequest,
    DeleteExperimentRequest,
    RecordRequest,
)
from podium.v1.run_config_pb2 import ModelConfig, RunConfig
from podium.v1.run_result_pb2 import RunResult
from podium.v1.value_pb2 import Value

from tests.server.writes.naive_state import Experiment

__all__ = ["ARMS", "KEYS", "NAMES", "STEPS", "random_call", "reason_if_invalid"]

ARMS = ("a", "b", "c.d")
NAMES = ("val", "val.x", "test", "x")
KEYS = ("acc", "x.acc", "loss", "x")
STEPS = (None, None, None, -1, 0, 1, 5, 9, 2**63 - 1)

_VALUES = (0.0, -0.0, 0.25, 0.5, 1.0, float("nan"), float("inf"), float("-inf"))
_ATTEMPTS = (("Z", 0), ("A", 1), ("B", 2), ("C", 3), ("D", 3), ("E", 4), ("B", 5), ("F", 2**62))
_TAGS: tuple[list[str], ...] = ([], [], ["test"], ["x", "test"], ["x"])
_WRITERS = tuple(f"w{n}" for n in range(9))
_EVENTS = (
    ["eval"] * 9 + ["metrics"] * 4 + ["start"] * 4 + ["finish"] * 2 + ["whole"] * 3 + ["annotate"]
    + ["declare"] * 2 + ["conclude", "skip", "bad"]
)  # fmt: skip


def random_call(rng: Random, experiment: Experiment, name: str) -> Message:
    """Returns a random call on an experiment. Most are Record calls that may succeed."""
    dice = rng.random()
    if dice < 0.03:
        return DeleteArmRequest(
            experiment=name, arm=rng.choice(ARMS), allow_missing=rng.random() < 0.5
        )
    if dice < 0.04:
        return DeleteExperimentRequest(experiment=name, allow_missing=rng.random() < 0.5)
    subject = rng.choice((None, None, *ARMS))
    request = RecordRequest(experiment=name)
    if not experiment.alive and rng.random() < 0.3:
        _declare(rng, request.events.add(), "")
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        request.events.append(_random_event(rng, experiment, subject))
    if rng.random() < 0.5:
        _place(rng, request, experiment)
    return request


def reason_if_invalid(event: Event) -> str | None:
    """Returns the reason why a random event is invalid, or None if it is valid."""
    if event.WhichOneof("kind") == "eval_recorded" and not event.eval_recorded.eval_result.name:
        return "NAME_INVALID"
    if event.HasField("experiment_concluded") and not event.experiment_concluded.conclusion:
        return "FIELD_MISSING"
    for path in event.experiment_declared.clear_fields:
        given = {field.name for field, _ in event.experiment_declared.ListFields()}
        if path == "name" or path in given or path[9:] in event.experiment_declared.metadata:
            return "FIELD_OUT_OF_RANGE"
    return None


def _place(rng: Random, request: RecordRequest, experiment: Experiment) -> None:
    """Puts a call into a stream. Its position usually follows the last one.

    Sometimes it repeats earlier positions, overlaps with them, or leaves a gap.
    """
    writer = rng.choice(_WRITERS)
    stream = experiment.streams.get(writer)
    following = (stream.last if stream else 0) + 1
    first = following + rng.choice((0, 0, 0, 0, 0, 0, -1, -2, -5, 1))
    request.position.writer_id = writer
    request.position.first_sequence = max(first, 1)


def _random_event(rng: Random, experiment: Experiment, subject: str | None) -> Event:
    arm = subject or rng.choice(ARMS)
    attempt_id = _attempt_id(rng, experiment, arm)
    event = Event()
    if rng.random() < 0.3:
        event.event_time.CopyFrom(Timestamp(seconds=rng.choice((1, 2))))
    kind = rng.choice(_EVENTS)
    if kind in ("eval", "bad", "metrics", "finish"):
        body = _speaking(rng, event, kind, arm)
        if attempt_id is not None:
            body.attempt_id = attempt_id
    else:
        _OTHERS[kind](rng, event, arm)
    return event


def _speaking(rng: Random, event: Event, kind: str, arm: str) -> Any:
    """Fills an event of a kind that may name an attempt. Returns the message of this kind."""
    if kind == "metrics":
        event.metrics_recorded.arm = arm
        event.metrics_recorded.metrics.update(_metrics(rng))
        step = rng.choice(STEPS)
        if step is not None:
            event.metrics_recorded.step = step
        return event.metrics_recorded
    if kind == "finish":
        _finish(rng, event, arm)
        return event.arm_finished
    event.eval_recorded.arm = arm
    event.eval_recorded.eval_result.CopyFrom(_row(rng) if kind == "eval" else EvalResult())
    return event.eval_recorded


def _attempt_id(rng: Random, experiment: Experiment, arm: str) -> str | None:
    """Returns the id of the newest attempt, or None, or sometimes another id."""
    known = experiment.arm(arm)
    newest = known.attempt[0] if known and known.attempt else None
    return rng.choice((None, None, newest, newest, newest, newest, "A"))


def _metrics(rng: Random) -> dict[str, float]:
    return {rng.choice(KEYS): rng.choice(_VALUES) for _ in range(rng.randrange(4))}


def _row(rng: Random) -> EvalResult:
    return EvalResult(
        name=rng.choice(NAMES),
        step=rng.choice(STEPS),
        metrics=_metrics(rng),
        tags=rng.choice(_TAGS),
        benchmark_id=rng.choice((None, None, "b", "val")),
        model_ref=rng.choice((None,) * 6 + ("gpt",)),
        eval_seconds=rng.choice((0.0, 2.5)),
        breakdowns={"k": Value(int_value=1)} if rng.random() < 0.2 else {},
        revision=rng.choice((0, 0, 77)),
    )


def _config(rng: Random) -> RunConfig:
    return RunConfig(
        name="r",
        seed=rng.choice((None,) * 6 + (0,)),
        tags=rng.choice(_TAGS),
        model=rng.choice((None, ModelConfig(), ModelConfig(load_checkpoint_path="c"))),
        extras={"h": Value(int_value=rng.randrange(2))} if rng.random() < 0.3 else {},
    )


def _start(rng: Random, event: Event, arm: str) -> None:
    identity, order = rng.choice(_ATTEMPTS)
    body = event.arm_started
    body.arm = arm
    body.run_config.CopyFrom(_config(rng))
    body.attempt.CopyFrom(Attempt(id=identity, order=order))
    for name in ("run_id", "group_id", "group_name"):
        if rng.random() < 0.3:
            setattr(body, name, rng.choice(("x", "y")))
    if rng.random() < 0.3:
        body.provenance.host = "node7"
    match rng.randrange(3):
        case 0:
            body.resume_step = rng.choice((-1, 0, 1, 5, 9))
        case 1:
            body.restart = True


def _finish(rng: Random, event: Event, arm: str) -> None:
    body = event.arm_finished
    body.arm = arm
    body.status = rng.choice((3, 3, 3, 4, 5))  # type: ignore[assignment]
    if rng.random() < 0.5:
        body.error = rng.choice(("", "boom"))
    if rng.random() < 0.5:
        body.train_seconds = rng.choice((0.0, 1.5))
    if rng.random() < 0.3:
        body.run_result.CopyFrom(RunResult(run_id="x"))


def _annotate(rng: Random, event: Event, arm: str) -> None:
    body = event.arm_annotated
    body.arm = arm
    match rng.randrange(4):
        case 0:
            body.notes = rng.choice(("n", "m"))
        case 1:
            body.clear_notes = True
    match rng.randrange(5):
        case 0:
            body.group_name = rng.choice(("g", "x"))
        case 1:
            body.clear_group = True
    tags = rng.sample(("test", "x", "y"), 3)
    body.add_tags[:] = tags[: rng.randrange(2)]
    body.remove_tags[:] = tags[1 : rng.choice((1, 1, 2, 3))]


def _whole(rng: Random, event: Event, arm: str) -> None:
    event.arm_recorded.arm_result.CopyFrom(_arm(rng, arm))
    event.arm_recorded.replace = rng.random() < 0.3


def _arm(rng: Random, arm: str) -> ArmResult:
    """Returns a whole arm. About a third of them are equal, as if an import were repeated."""
    if rng.random() < 0.3:
        rng = Random(arm)  # noqa: S311 - the same one every time
    result = ArmResult(
        name=arm,
        run_config=_config(rng),
        status=rng.choice((1, 2, 3, 3, 3, 4, 5)),  # type: ignore[arg-type]
        metrics=_metrics(rng),
        evals=[_row(rng) for _ in range(rng.choice((0, 0, 1, 3, 6)))],
        train_seconds=rng.choice((None, 2.0)),
        eval_seconds=rng.choice((None, None, 3.0)),
        group_name=rng.choice((None, "g")),
        run_id=rng.choice((None, "r")),
        revision=rng.choice((0, 5)),
        annotations=rng.choice((None, None, Annotations(), _noted(rng))),
        provenance=rng.choice((None, None, Provenance(host="h"))),
    )
    for row in result.evals:
        if rng.random() < 0.3:
            row.event_time.CopyFrom(Timestamp(seconds=rng.choice((1, 3))))
    if not result.evals:
        result.eval_metrics.update(_metrics(rng))
    return result


def _noted(rng: Random) -> Annotations:
    noted = Annotations(notes=rng.choice((None, "n")), added_tags=["y"], removed_tags=["x"])
    match rng.randrange(3):
        case 0:
            noted.group_name = "x"
        case 1:
            noted.no_group = True
    return noted


_CLEARABLE = ("hypothesis", "direction", "tags", "conclusion", "metadata", "metadata.k", "name")


def _declare(rng: Random, event: Event, _arm: str) -> None:
    body = event.experiment_declared
    for name in ("hypothesis", "success_metric", "parent"):
        if rng.random() < 0.3:
            setattr(body, name, rng.choice(("p", "q")))
    body.direction = rng.choice((0, 0, 1, 2))  # type: ignore[assignment]
    body.tags[:] = rng.choice(_TAGS)
    for key in ("k", "l"):
        if rng.random() < 0.3:
            body.metadata[key].int_value = rng.randrange(2)
    body.overwrite = rng.random() < 0.2
    if rng.random() < 0.3:
        body.clear_fields.append(rng.choice(_CLEARABLE))


def _conclude(rng: Random, event: Event, _arm: str) -> None:
    event.experiment_concluded.conclusion = rng.choice(("", "c", "d"))


def _skip(_rng: Random, event: Event, _arm: str) -> None:
    event.skipped.SetInParent()


_OTHERS = {
    "start": _start,
    "annotate": _annotate,
    "whole": _whole,
    "declare": _declare,
    "conclude": _conclude,
    "skip": _skip,
}
