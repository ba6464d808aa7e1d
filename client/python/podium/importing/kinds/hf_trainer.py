"""`trainer_state.json` of Hugging Face's Trainer.

A training has one in its folder and one in each checkpoint. Those of the same training agree in
their log as far as both go; the longest one is the arm, the others are earlier states of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from podium.importing._found import FoundArm, Left
from podium.importing._rows import with_last_rows
from podium.importing._values import head, json_object, numbers
from podium.model import ArmResult, ArmStatus, Component, EvalResult, RunConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["HfTrainerImporter"]

_FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"(?:checkpoint-\d+|last-checkpoint)\Z")
_EVAL = "eval"
_RUNTIME = "_runtime"
_NO_METRICS = frozenset({"step"})
_SETTINGS = (
    "max_steps",
    "num_train_epochs",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "trial_name",
    "trial_params",
)
_BEST = ("best_metric", "best_model_checkpoint", "best_global_step")

_Log = list[dict[str, Any]]


class _State(NamedTuple):
    """A file that was read."""

    path: Path
    said: dict[str, Any]

    @property
    def log(self) -> _Log:
        return [row for row in self.said["log_history"] if isinstance(row, dict)]

    @property
    def is_finished(self) -> bool:
        most = self.said.get("max_steps")
        return isinstance(most, int) and 0 < most <= self.said.get("global_step", 0)


class HfTrainerImporter:
    """Reads the states of trainings, with their checkpoints."""

    kind = "hf_trainer"
    summary = f"{_FILE} of Hugging Face's Trainer"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the states in a folder and in its checkpoints."""
        if path.is_file():
            return [path] if path.name == _FILE and b'"log_history"' in head(path) else []
        return [found for found in _states_of(path) if b'"log_history"' in head(found)]

    def read(self, path: Path) -> Iterator[Found]:
        """Reads the states of one folder: of one training, or of several."""
        states = []
        for found in [path] if path.is_file() else _states_of(path):
            try:
                states.append(_read(found))
            except ValueError as error:
                yield Left(str(found), str(error))
        states.sort(key=lambda state: len(state.log), reverse=True)
        for number, state in enumerate(states):
            later = _later_state(state, states[:number])
            if later is None:
                yield FoundArm(self.kind, _arm(state), str(state.path))
            else:
                why = f"an earlier state of the training in {later.path}"
                yield Left(str(state.path), why, is_wrong=False)


def _states_of(folder: Path) -> list[Path]:
    """The states in a folder: its own, and those of its checkpoints."""
    if not folder.is_dir() or _CHECKPOINT.match(folder.name):
        return [found for found in [folder / _FILE] if found.is_file()]
    inside = [found for found in folder.glob(f"*/{_FILE}") if _CHECKPOINT.match(found.parent.name)]
    return [found for found in [folder / _FILE, *sorted(inside)] if found.is_file()]


def _read(path: Path) -> _State:
    said = json_object(path)
    if not isinstance(said.get("log_history"), list):
        raise ValueError(f"no {_FILE}: it has no list log_history")  # noqa: TRY004 - of the file
    return _State(path, said)


def _later_state(state: _State, others: Iterable[_State]) -> _State | None:
    """The state of the same training that goes further."""
    log = state.log
    return next((other for other in others if other.log[: len(log)] == log), None)


def _arm(state: _State) -> ArmResult:
    rows = [row for entry in state.log for row in _rows(entry)]
    return ArmResult(
        _name(state.path),
        _run_config(state),
        ArmStatus.COMPLETED if state.is_finished else ArmStatus.RUNNING,
        _training_metrics(state.log),
        evals=with_last_rows(rows) if state.is_finished else rows,
        train_seconds=_train_seconds(state.log),
    )


def _name(path: Path) -> str:
    """The name of the training's folder; a checkpoint's own is told with it."""
    folder = path.resolve().parent
    if _CHECKPOINT.match(folder.name):
        return f"{folder.parent.name}/{folder.name}"
    return folder.name


def _run_config(state: _State) -> RunConfig:
    settings = {key: state.said[key] for key in _SETTINGS if state.said.get(key) is not None}
    best = {key: state.said[key] for key in _BEST if state.said.get(key) is not None}
    return RunConfig(_name(state.path), algorithm=Component("hf_trainer", settings), extras=best)


def _training_metrics(log: _Log) -> dict[str, float]:
    """The last value of each training metric."""
    metrics: dict[str, float] = {}
    for entry in log:
        told = {key: value for key, value in entry.items() if not key.startswith(f"{_EVAL}_")}
        metrics |= {key: value for key, value in numbers(told).items() if key not in _NO_METRICS}
    return metrics


def _train_seconds(log: _Log) -> float | None:
    return next((numbers(row).get("train_runtime") for row in reversed(log)), None)


def _rows(entry: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The eval rows of an entry of the log: one of each set that was evaluated."""
    step = entry.get("step")
    for prefix in _prefixes(entry):
        told = {key: entry[key] for key in entry if key.startswith(f"{prefix}_")}
        metrics = {key.removeprefix(f"{prefix}_"): value for key, value in numbers(told).items()}
        seconds = metrics.pop("runtime", 0.0)
        name = prefix.removeprefix(f"{_EVAL}_")
        yield EvalResult(name, metrics=metrics, eval_seconds=max(seconds, 0.0), step=step)


def _prefixes(entry: Mapping[str, Any]) -> list[str]:
    """What the keys of each eval begin with: `eval`, or `eval_NAME` of a set with a name."""
    told = [key for key in entry if key.startswith(f"{_EVAL}_")]
    timed = [key.removesuffix(_RUNTIME) for key in told if key.endswith(_RUNTIME)]
    return timed or ([_EVAL] if told else [])
