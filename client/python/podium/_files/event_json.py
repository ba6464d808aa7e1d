"""Events as JSON: `{"event": "eval_recorded", "arm": "lora_rank4", "eval_result": {...}}`.

`event` is the kind of the event: the name of a field in the proto `Event`. The other keys are the
fields of this field's message, in the form of `json_form`, and optionally `event_time`. An object
without the key `event` is an arm with its rows, as `podium show --json` prints it. An object of
either form may also have the key `experiment`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from podium import events
from podium._files import json_form
from podium._model.primary_fields import drop_mirrored
from podium._model.results import (
    ArmResult,
    ArmStatus,
    Attempt,
    EvalResult,
    Provenance,
    RunConfig,
    RunResult,
)
from podium._values import coerce
from podium._values.base import ModelBase
from podium.v1.event_pb2 import Event

__all__ = ["event_from_json"]

_FINAL = (ArmStatus.COMPLETED, ArmStatus.FAILED, ArmStatus.CANCELLED)


def event_from_json(given: Any, *, replace: bool = False) -> Event:
    """Converts a parsed JSON object, which is an event or an arm with its rows, to an event.

    Args:
        given: The parsed JSON.
        replace: Whether to set the field `replace` of the event if it is an `arm_recorded`.

    Raises:
        ValueError: The object is not valid. The error's message shows what is expected.
    """
    kind, fields = _kind_and_fields(given)
    form, make = _KINDS[kind]
    values = vars(json_form.record_from_json(form, fields, kind))
    if replace and form is _ArmRecorded:
        values["replace"] = True
    try:
        event = make(**values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{kind}: {error}") from error
    if values["event_time"] is None:
        # The time now, which `make` sets, is not the time of the event.
        event.ClearField("event_time")
    return event


def _kind_and_fields(given: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(given, dict):
        raise ValueError(f"an arm or event must be an object, not {coerce.kind_of(given)}")  # noqa: TRY004 - of the input, not of a caller's argument
    if "event" in given:
        fields = {key: given[key] for key in given if key not in ("event", "experiment")}
        return _known_kind(given["event"]), fields
    if "eval_count" in given:
        raise ValueError(
            "this is an arm without its rows, as `podium arms` prints it; "
            "`podium show EXPERIMENT ARM --json` prints it with its rows"
        )
    if "run_config" not in given:
        raise ValueError(
            'expected an arm, which has the key "run_config", or an event, whose key "event" is '
            f"{_kinds()}"
        )
    return "arm_recorded", {"arm_result": given}


def _known_kind(kind: Any) -> str:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"event must be {_kinds()}; not {kind!r}")
    return kind


def _kinds() -> str:
    *others, last = _KINDS
    return f"{', '.join(others)} or {last}"


# ---- The kinds ---------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class _EventFields(ModelBase):
    event_time: datetime | None = None


@dataclass(eq=False, kw_only=True)
class _ExperimentDeclared(_EventFields):
    hypothesis: str | None = None
    success_metric: str | None = None
    parent: str | None = None
    direction: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    clear_fields: list[str] = field(default_factory=list)


@dataclass(eq=False, kw_only=True)
class _ArmStarted(_EventFields):
    run_config: RunConfig
    attempt: Attempt
    arm: str | None = None
    group_id: str | None = None
    group_name: str | None = None
    run_id: str | None = None
    resume_step: int | None = None
    restart: bool = False
    provenance: Provenance | None = None


@dataclass(eq=False, kw_only=True)
class _MetricsRecorded(_EventFields):
    arm: str
    metrics: dict[str, float]
    step: int | None = None
    attempt_id: str | None = None


@dataclass(eq=False, kw_only=True)
class _EvalRecorded(_EventFields):
    arm: str
    eval_result: EvalResult
    attempt_id: str | None = None

    def __post_init__(self) -> None:
        # An exported row keeps the time at which it was measured.
        self.event_time = self.event_time or self.eval_result.event_time


@dataclass(eq=False, kw_only=True)
class _ArmFinished(_EventFields):
    arm: str
    status: str
    attempt_id: str | None = None
    error: str | None = None
    train_seconds: float | None = None
    run_result: RunResult | None = None

    def __post_init__(self) -> None:
        if self.status not in _FINAL:
            raise ValueError(f"status must be one of {', '.join(_FINAL)}; not {self.status!r}")


@dataclass(eq=False, kw_only=True)
class _ArmAnnotated(_EventFields):
    arm: str
    notes: str | None = None
    add_tags: list[str] = field(default_factory=list)
    remove_tags: list[str] = field(default_factory=list)
    group_name: str | None = None


@dataclass(eq=False, kw_only=True)
class _ArmRecorded(_EventFields):
    arm_result: ArmResult
    replace: bool = False

    def __post_init__(self) -> None:
        drop_mirrored(self.arm_result)


@dataclass(eq=False, kw_only=True)
class _ExperimentConcluded(_EventFields):
    conclusion: str


_KINDS: dict[str, tuple[type[_EventFields], Callable[..., Event]]] = {
    "experiment_declared": (_ExperimentDeclared, events.experiment_declared),
    "arm_started": (_ArmStarted, events.arm_started),
    "metrics_recorded": (_MetricsRecorded, events.metrics_recorded),
    "eval_recorded": (_EvalRecorded, events.eval_recorded),
    "arm_finished": (_ArmFinished, events.arm_finished),
    "arm_annotated": (_ArmAnnotated, events.arm_annotated),
    "arm_recorded": (_ArmRecorded, events.arm_recorded),
    "experiment_concluded": (_ExperimentConcluded, events.experiment_concluded),
    "skipped": (_EventFields, events.skipped),
}
