"""`trainer_state.json` of Hugging Face's Trainer.

A training has one in its folder and one in each checkpoint. Those of the same training agree in
their log as far as both go; the longest one is the arm, the others are earlier states of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium._values.base import same
from podium.importing._configs import kept_values, step_from
from podium.importing._found import FoundArm, Left
from podium.importing._rows import with_last_rows
from podium.importing._values import head, json_object, numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["HfTrainerImporter"]

_FILE = "trainer_state.json"
_CHECKPOINT = re.compile(r"(?:checkpoint-\d+|last-checkpoint)\Z")
_NO_NAME = re.compile(r"(?:checkpoint|ckpt|model|out|output|result|trainer_output)s?\Z")
"""Folders whose name tells nothing of the training in them: the one around them does."""
_EVAL = "eval"
_TRAIN = "train"
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
            except (ValueError, OSError) as error:
                yield Left(str(found), str(error))
        states.sort(key=lambda state: len(state.log), reverse=True)
        is_folder = path.is_dir() and not _CHECKPOINT.match(path.name)
        longest = states[0] if is_folder and states else None
        for number, state in enumerate(states):
            later = _later_state(state, states[:number])
            if later is None:
                name = _name(state.path, is_folders=state is longest)
                yield FoundArm(self.kind, _arm(state, name), str(state.path))
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
    return next((other for other in others if same(other.log[: len(log)], log)), None)


def _arm(state: _State, name: str) -> ArmResult:
    rows = [row for entry in state.log for row in _rows(entry)]
    return ArmResult(
        name,
        _run_config(state, name),
        ArmStatus.COMPLETED if state.is_finished else ArmStatus.RUNNING,
        _training_metrics(state.log),
        evals=with_last_rows(rows) if state.is_finished else rows,
        train_seconds=_train_seconds(state.log),
    )


def _name(path: Path, *, is_folders: bool) -> str:
    """The name of the training's folder, which its longest state is known by.

    Another training's checkpoint in it, or one that is read alone, has its own name behind that.
    """
    folder = path.resolve().parent
    if not _CHECKPOINT.match(folder.name):
        return _told(folder)
    return _told(folder.parent) if is_folders else f"{_told(folder.parent)}/{folder.name}"


def _told(folder: Path) -> str:
    is_name = not _NO_NAME.match(folder.name.lower()) or not folder.parent.name
    return folder.name if is_name else f"{folder.parent.name}/{folder.name}"


def _run_config(state: _State, name: str) -> RunConfig:
    settings = {key: state.said[key] for key in _SETTINGS if state.said.get(key) is not None}
    best = {key: state.said[key] for key in _BEST if state.said.get(key) is not None}
    algorithm = Component("hf_trainer", kept_values(settings))
    return RunConfig(name, algorithm=algorithm, extras=kept_values(best))


def _training_metrics(log: _Log) -> dict[str, float]:
    """The last value of each training metric."""
    metrics: dict[str, float] = {}
    for entry in log:
        of_evals = _prefix_of_each(entry)
        told = {key: value for key, value in entry.items() if key not in of_evals}
        metrics |= {key: value for key, value in numbers(told).items() if key not in _NO_METRICS}
    return metrics


def _train_seconds(log: _Log) -> float | None:
    return next((numbers(row).get("train_runtime") for row in reversed(log)), None)


def _rows(entry: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The eval rows of an entry of the log: one of each set that was evaluated."""
    step = step_from(entry.get("step"))
    of_evals = _prefix_of_each(entry)
    for prefix in dict.fromkeys(of_evals.values()):
        told = {key: entry[key] for key, its in of_evals.items() if its == prefix}
        metrics = {key.removeprefix(f"{prefix}_"): value for key, value in numbers(told).items()}
        seconds = metrics.pop("runtime", 0.0)
        name = prefix.removeprefix(f"{_EVAL}_")
        yield EvalResult(name, metrics=metrics, eval_seconds=max(seconds, 0.0), step=step)


def _prefix_of_each(entry: Mapping[str, Any]) -> dict[str, str]:
    """What the keys of evals begin with: `eval`, `eval_NAME` of a set with a name, or `test`.

    Each eval tells its runtime; a key is of the eval with the longest beginning that fits.
    """
    timed = [key.removesuffix(_RUNTIME) for key in entry if key.endswith(_RUNTIME)]
    prefixes = sorted({_EVAL, *timed} - {_TRAIN, ""}, key=len, reverse=True)
    found = {
        key: next((prefix for prefix in prefixes if key.startswith(f"{prefix}_")), "")
        for key in entry
    }
    return {key: prefix for key, prefix in found.items() if prefix}
