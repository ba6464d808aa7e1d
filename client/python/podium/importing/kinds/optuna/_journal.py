"""Reads an Optuna journal file: JSON lines, each with an operation."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

from podium.importing._found import Found, NotImported
from podium.importing._values import head, json_lines
from podium.importing.kinds.optuna._study import STATES, Study, Trial, param, time_of

__all__ = ["is_one", "read"]

_DIRECTIONS = {1: "minimize", 2: "maximize"}
_FINISHED = ("COMPLETE", "PRUNED", "FAIL")
_MAX_LINES = 5_000_000


def is_one(path: Path) -> bool:
    """Returns whether a file begins like an Optuna journal."""
    first = head(path).split(b"\n", 1)[0]
    return first.startswith(b'{"op_code"') and b'"worker_id"' in first


def read(path: Path) -> Generator[Found, None, list[Study]]:
    """Reads the studies of a journal."""
    journal = _Journal()
    for line, operation in json_lines(path):
        if line > _MAX_LINES:
            raise ValueError(f"the journal has over {_MAX_LINES:,} lines, which is the limit")
        try:
            if isinstance(operation, ValueError):
                raise operation
            journal.apply(operation)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            is_known = isinstance(error, ValueError)
            why = str(error) if is_known else "the line is not an operation of Optuna"
            yield NotImported(f"{path}:{line}", why)
    return [study for study in journal.studies.values() if study is not None]


class _Journal:
    """The studies and trials that result from the operations so far.

    The id of a study or trial is its index in the order of creation.
    """

    def __init__(self) -> None:
        self.studies: dict[int, Study | None] = {}
        self._trials: list[Trial] = []
        self._operations = (
            self._create_study,
            self._delete_study,
            self._set_study_attribute,
            self._set_study_system_attribute,
            self._create_trial,
            self._set_param,
            self._set_state,
            self._set_reported,
            self._set_attribute,
        )

    def apply(self, operation: dict[str, Any]) -> None:
        """Applies an operation. Operations of samplers and of later versions are skipped."""
        code = operation["op_code"]
        if 0 <= code < len(self._operations):
            self._operations[code](operation)

    def _create_study(self, operation: dict[str, Any]) -> None:
        name = str(operation["study_name"])
        if not any(study and study.name == name for study in self.studies.values()):
            directions = [_DIRECTIONS.get(number, "minimize") for number in operation["directions"]]
            self.studies[len(self.studies)] = Study(name, directions)

    def _delete_study(self, operation: dict[str, Any]) -> None:
        self.studies[operation["study_id"]] = None

    def _set_study_attribute(self, operation: dict[str, Any]) -> None:
        study = self.studies[operation["study_id"]]
        if study is not None:
            study.attributes.update(operation["user_attr"])

    def _set_study_system_attribute(self, operation: dict[str, Any]) -> None:
        study = self.studies[operation["study_id"]]
        names = operation["system_attr"].get("study:metric_names")
        if study is not None and isinstance(names, list):
            study.metric_names = list(map(str, names))

    def _create_trial(self, operation: dict[str, Any]) -> None:
        study = self.studies[operation["study_id"]]
        if study is None:
            return
        trial = Trial(len(study.trials), STATES[operation.get("state", 0)])
        study.trials.append(trial)
        self._trials.append(trial)
        trial.start = time_of(operation.get("datetime_start"))
        trial.end = time_of(operation.get("datetime_complete"))
        value = operation.get("value")
        trial.values = operation.get("values") or ([] if value is None else [float(value)])
        trial.attributes = dict(operation.get("user_attrs") or {})
        given = operation.get("intermediate_values") or {}
        trial.reported = {int(step): float(value) for step, value in given.items()}
        for name, internal in (operation.get("params") or {}).items():
            trial.params[name] = param(internal, operation["distributions"][name])

    def _set_param(self, operation: dict[str, Any]) -> None:
        trial = self._unfinished(operation)
        if trial is not None:
            value = param(operation["param_value_internal"], operation["distribution"])
            trial.params[str(operation["param_name"])] = value

    def _set_state(self, operation: dict[str, Any]) -> None:
        trial, state = self._unfinished(operation), STATES[operation["state"]]
        if trial is None or (state == "RUNNING" and trial.state != "WAITING"):
            return
        trial.state = state
        trial.start = time_of(operation.get("datetime_start")) or trial.start
        trial.end = time_of(operation.get("datetime_complete")) or trial.end
        trial.values = [float(value) for value in operation.get("values") or []]

    def _set_reported(self, operation: dict[str, Any]) -> None:
        trial = self._unfinished(operation)
        if trial is not None:
            trial.reported[int(operation["step"])] = float(operation["intermediate_value"])

    def _set_attribute(self, operation: dict[str, Any]) -> None:
        trial = self._unfinished(operation)
        if trial is not None:
            trial.attributes.update(operation["user_attr"])

    def _unfinished(self, operation: dict[str, Any]) -> Trial | None:
        """Returns the trial of an operation, or None if the trial has finished."""
        trial = self._trials[operation["trial_id"]]
        return None if trial.state in _FINISHED else trial
