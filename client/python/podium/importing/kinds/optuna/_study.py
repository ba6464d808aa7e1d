"""A study, read from a SQLite or a journal file, and its conversion to an experiment with arms."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig, RunResult
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import Found, FoundArm, FoundExperiment
from podium.importing._identities import digest_of
from podium.importing._values import number

__all__ = ["STATES", "Study", "Trial", "arm_of", "experiment_of", "found", "param", "time_of"]

STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
"""The states of a trial, in the order of their numbers in a journal."""
_STATUSES = {
    "RUNNING": ArmStatus.RUNNING,
    "COMPLETE": ArmStatus.COMPLETED,
    "PRUNED": ArmStatus.CANCELLED,
    "FAIL": ArmStatus.FAILED,
    "WAITING": ArmStatus.PENDING,
}
_EVAL = "objective"
_METRIC = "value"


@dataclass(slots=True)
class Trial:
    """A trial. `number` is its index in the study; `reported` has intermediate values by step."""

    number: int
    state: str = "RUNNING"
    params: dict[str, Any] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    reported: dict[int, float] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class Study:
    """A study. It has a direction for each objective: `minimize` or `maximize`."""

    name: str
    directions: list[str] = field(default_factory=list)
    metric_names: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)


def param(value: Any, distribution: Any) -> Any:
    """Returns the value of a parameter, from the number and the distribution that Optuna stores."""
    given = json.loads(distribution) if isinstance(distribution, str) else distribution
    name = str(given.get("name"))
    if name == "CategoricalDistribution":
        return given["attributes"]["choices"][int(value)]
    return int(value) if name.startswith("Int") else float(value)


def time_of(text: Any) -> datetime | None:
    """Parses a time, which may lack a time zone. Returns None for any other value."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def found(study: Study, source: str) -> Iterator[Found]:
    """Yields the experiment and the arms of a study."""
    yield experiment_of(study, source)
    for trial in study.trials:
        yield FoundArm(study.name, arm_of(study, trial), source)


def experiment_of(study: Study, source: str) -> FoundExperiment:
    """Returns the experiment of a study, with a direction for each objective."""
    names = _metric_names(study)
    return FoundExperiment(
        study.name,
        source,
        success_metric=f"{_EVAL}.{names[0]}",
        direction="maximize" if study.directions[:1] == ["maximize"] else "minimize",
        directions={
            f"{_EVAL}.{name}": direction
            for name, direction in zip(names[1:], study.directions[1:], strict=False)
        },
        metadata=kept_values(
            {"optuna": {"directions": study.directions, "attributes": study.attributes}}
        ),
    )


def _metric_names(study: Study) -> list[str]:
    count = max(len(study.directions), 1)
    if isinstance(study.metric_names, list) and len(study.metric_names) == count:
        return list(map(str, study.metric_names))
    return [_METRIC] if count == 1 else [f"{_METRIC}_{place}" for place in range(count)]


def _identity(study: Study) -> str:
    """Returns a digest of the study's name and the start of its first trial, which never change."""
    start = study.trials[0].start if study.trials else None
    return digest_of("optuna", [study.name, str(start)])


def arm_of(study: Study, trial: Trial) -> ArmResult:
    """Returns the arm of a trial. Its `run_id` begins with a digest that identifies the study."""
    name = f"trial-{trial.number}"
    identity = f"{_identity(study)}-{trial.number}"
    status = _STATUSES[trial.state]
    numbers = {key: _number(value) for key, value in trial.attributes.items()}
    others = {key: value for key, value in trial.attributes.items() if numbers[key] is None}
    return ArmResult(
        name,
        RunConfig(
            name,
            algorithm=Component("optuna", kept_values(trial.params)),
            seed=seed_from(trial.params.get("seed")),
        ),
        status,
        {key: value for key, value in numbers.items() if value is not None},
        evals=list(_rows(trial, _metric_names(study))),
        run_id=identity,
        error=_error(trial),
        train_seconds=_seconds(trial),
        run_result=RunResult(identity, trial.state.lower(), extras=kept_values(others)),
    )


def _error(trial: Trial) -> str | None:
    """Returns the error message of a pruned trial, as Podium's callbacks record it."""
    if trial.state != "PRUNED":
        return None
    return f"pruned at step {max(trial.reported)}" if trial.reported else "pruned"


def _number(value: Any) -> float | None:
    return None if isinstance(value, str) else number(value)


def _rows(trial: Trial, names: list[str]) -> Iterator[EvalResult]:
    """Yields the reported values as in-loop rows.

    If the trial is complete, then yields its result as a post-training row.
    """
    for step in sorted(trial.reported):
        yield EvalResult(_EVAL, metrics={names[0]: trial.reported[step]}, step=step)
    if trial.state == "COMPLETE" and len(trial.values) == len(names):
        metrics: Mapping[str, float] = dict(zip(names, trial.values, strict=True))
        row = EvalResult(_EVAL, metrics=dict(metrics), tags=["test"])
        if trial.end is not None and trial.end.tzinfo is not None:
            row.event_time = trial.end
        yield row


def _seconds(trial: Trial) -> float | None:
    try:
        seconds = (trial.end - trial.start).total_seconds() if trial.end and trial.start else None
    except TypeError:  # only one of them has a zone
        return None
    return seconds if seconds is not None and seconds >= 0 else None
