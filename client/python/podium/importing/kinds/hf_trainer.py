"""`trainer_state.json` of Hugging Face's Trainer, and the results files beside it.

A training run has a state file in its folder, and one in each checkpoint. Two state files are of
the same run if the log in one file continues the log in the other. The file with the longest log
becomes the arm, and the other files are skipped. The results files of the folder
(`all_results.json`, `eval_results.json` …) belong to the arm of the longest log.
"""

import re
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium._values.base import same
from podium.curves import Series
from podium.importing._configs import kept_values, step_from
from podium.importing._found import Found, FoundArm, NotImported, attempted
from podium.importing._identities import digest_of
from podium.importing._rows import series_of, tags_of, with_last_rows
from podium.importing._values import head, is_torn_object, json_object, number, numbers

__all__ = ["HfTrainerImporter"]

_FILE = "trainer_state.json"
_SPLITS = ("predict", "test", "eval", "train")
"""The data sets that can have a results file. The first one with results is the primary eval."""
_ALL_RESULTS = "all_results.json"
_RESULTS = (_ALL_RESULTS, *(f"{split}_results.json" for split in _SPLITS))
_CHECKPOINT = re.compile(r"(?:checkpoint-\d+|last-checkpoint)\Z")
_NO_NAME = re.compile(r"(?:checkpoint|ckpt|model|out|output|result|trainer_output)s?\Z")
"""Generic folder names. The parent folder's name is added to them."""
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

_Entry = dict[str, Any]
_Log = list[_Entry]


class _State(NamedTuple):
    path: Path
    content: dict[str, Any]

    @property
    def log(self) -> _Log:
        return [row for row in self.content["log_history"] if isinstance(row, dict)]

    @property
    def is_finished(self) -> bool:
        max_steps = self.content.get("max_steps")
        return isinstance(max_steps, int) and 0 < max_steps <= self.content.get("global_step", 0)


class HfTrainerImporter:
    """Imports the state files of training runs and of their checkpoints."""

    kind = "hf_trainer"
    summary = f"{_FILE} and {_ALL_RESULTS} of Hugging Face's Trainer"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the state and results files in a folder, and state files in its checkpoints."""
        if path.is_file():
            return [path] if _is_file_of_kind(path) else []
        return [
            found for found in [*_states_of(path), *_results_of(path)] if _is_file_of_kind(found)
        ]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields an arm for each training run whose state files are in a folder."""
        results = yield from _read_results(path)
        if path.name in _RESULTS or (results and not _states_of(path)):
            yield from _arm_of_results(results, path)
            return
        states: list[_State] = []
        for found in [path] if path.is_file() else _states_of(path):
            read = yield from attempted(found, _read)
            states += [] if read is None else [read]
        states.sort(key=lambda state: len(state.log), reverse=True)
        is_folder = path.is_dir() and not _CHECKPOINT.match(path.name)
        longest = states[0] if is_folder and states else None
        for position, state in enumerate(states):
            later = _later_state(state, states[:position])
            if later is None:
                name = _name(state.path, is_whole_folder=state is longest)
                arm = _arm(state, name, results if state is longest else {})
                yield FoundArm(self.kind, arm, str(state.path), _series(state.log))
                yield from _not_numbers(state.path, state.log, "log")
            else:
                why = f"an earlier state of the training run in {later.path}"
                yield NotImported(str(state.path), why, is_wrong=False)


def _is_file_of_kind(file: Path) -> bool:
    if file.name == _FILE:
        return _is_state(file)
    if file.name not in _RESULTS:
        return False
    # Other tools use these names too. The Trainer adds the runtime of each evaluation.
    beside = file.with_name(_FILE)
    return _RUNTIME.encode() in head(file) or (beside.is_file() and _is_state(beside))


def _results_of(folder: Path) -> list[Path]:
    return [found for name in _RESULTS if (found := folder / name).is_file()]


def _read_results(path: Path) -> Generator[Found, None, _Entry]:
    """Reads the results files of a folder into one log entry, with keys such as `eval_loss`."""
    entry: _Entry = {}
    for file in [path] if path.name in _RESULTS else _results_of(path):
        if not _is_file_of_kind(file):
            continue
        content = yield from attempted(file, json_object)
        if content is None:
            continue
        yield from _not_numbers(file, [content], "results")
        own = _with_prefix(content, file.name.removesuffix("_results.json"))
        # `all_results.json` has these metrics too, without their prefix.
        entry = {key: value for key, value in entry.items() if key in own or key not in content}
        entry |= own
    return {key: value for key, value in entry.items() if key != "step"}


def _with_prefix(content: _Entry, split: str) -> _Entry:
    """Adds the name of the data set to keys without it, since some scripts leave it out."""
    if split not in _SPLITS or split == _TRAIN:
        return content
    found = {}
    for key, value in content.items():
        is_named = key == "epoch" or key.startswith(f"{split}_")
        found[key if is_named else f"{split}_{key.removeprefix(f'{_EVAL}_')}"] = value
    return found


def _arm_of_results(results: _Entry, path: Path) -> Iterator[Found]:
    """Yields the arm of results files without a trainer state.

    Scripts that only evaluate write no trainer state.
    """
    if not any(key.endswith(_RUNTIME) for key in numbers(results)):
        why = "the file has no key that ends with _runtime, so it may be of another tool"
        yield from [NotImported(str(path), why, is_wrong=False)] if results else []
        return
    name = _folder_name((path if path.is_dir() else path.parent).resolve())
    arm = ArmResult(
        name,
        RunConfig(name, algorithm=Component("hf_trainer")),
        ArmStatus.COMPLETED,
        _entry_metrics(results, _SPLITS),
        evals=_rows_of_results(results),
        run_id=_identity([{key: results[key] for key in sorted(results) if _RUNTIME in key}]),
        train_seconds=_train_seconds([results]),
    )
    yield FoundArm(HfTrainerImporter.kind, arm, str(path))


def _rows_of_results(results: _Entry) -> list[EvalResult]:
    """Returns the post-training rows of results files. The rows of a test set come first."""
    rows = list(_rows(results, _SPLITS))
    for row in rows:
        row.tags = tags_of(row.name)
    order = {split: place for place, split in enumerate(_SPLITS)}
    return sorted(rows, key=lambda row: order.get(row.name, len(order)))


def _is_state(file: Path) -> bool:
    """Returns whether a file has the log of a training run. The file may be empty or cut off."""
    begin = head(file)
    return b'"log_history"' in begin or is_torn_object(begin)


def _not_numbers(file: Path, entries: _Log, of: str) -> Iterator[NotImported]:
    """Yields a NotImported for each key that has values other than numbers."""
    counts = Counter(
        key for entry in entries for key, value in entry.items() if number(value) is None
    )
    for key, count in counts.items():
        why = f"{key!r} is not a number in {count:,} of {len(entries):,} entries of the {of}"
        yield NotImported(str(file), why, is_wrong=False)


def _states_of(folder: Path) -> list[Path]:
    """Returns the state files in a folder and in its checkpoints."""
    if not folder.is_dir() or _CHECKPOINT.match(folder.name):
        return [found for found in [folder / _FILE] if found.is_file()]
    inside = [found for found in folder.glob(f"*/{_FILE}") if _CHECKPOINT.match(found.parent.name)]
    return [found for found in [folder / _FILE, *sorted(inside)] if found.is_file()]


def _read(path: Path) -> _State:
    content = json_object(path)
    if not isinstance(content.get("log_history"), list):
        raise ValueError(f"not a {_FILE}: it lacks the list log_history")  # noqa: TRY004 - of the file
    return _State(path, content)


def _later_state(state: _State, others: Iterable[_State]) -> _State | None:
    """Returns a later state of the same training run, or None if there is none."""
    log = state.log
    return next((other for other in others if same(other.log[: len(log)], log)), None)


def _arm(state: _State, name: str, results: _Entry) -> ArmResult:
    rows = [row for entry in state.log for row in _rows(entry)] + _rows_of_results(results)
    # A run that stopped early never reaches `max_steps`, but it has results.
    is_finished = state.is_finished or f"{_TRAIN}{_RUNTIME}" in results
    return ArmResult(
        name,
        _run_config(state, name),
        ArmStatus.COMPLETED if is_finished else ArmStatus.RUNNING,
        _training_metrics(state.log) | _entry_metrics(results, _SPLITS),
        evals=with_last_rows(rows) if is_finished else rows,
        run_id=_identity(state.log),
        train_seconds=_train_seconds([*state.log, results]),
    )


def _identity(log: _Log) -> str | None:
    """Returns a digest of the log's first entry, which is the same in all states of a run."""
    return digest_of("hf", log[0]) if log else None


def _name(path: Path, *, is_whole_folder: bool) -> str:
    """Returns the arm's name: the name of the training run's folder.

    For a file of a checkpoint, the checkpoint's name follows (`FOLDER/CHECKPOINT`), unless
    `is_whole_folder` says that the arm stands for the whole folder.
    """
    folder = path.resolve().parent
    if not _CHECKPOINT.match(folder.name):
        return _folder_name(folder)
    name = _folder_name(folder.parent)
    return name if is_whole_folder else f"{name}/{folder.name}"


def _folder_name(folder: Path) -> str:
    is_specific = not _NO_NAME.match(folder.name.lower()) or not folder.parent.name
    return folder.name if is_specific else f"{folder.parent.name}/{folder.name}"


def _run_config(state: _State, name: str) -> RunConfig:
    settings = {key: state.content[key] for key in _SETTINGS if state.content.get(key) is not None}
    best = {key: state.content[key] for key in _BEST if state.content.get(key) is not None}
    algorithm = Component("hf_trainer", kept_values(settings))
    return RunConfig(name, algorithm=algorithm, extras=kept_values(best))


def _training_metrics(log: _Log) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for entry in log:
        metrics |= _entry_metrics(entry)
    return metrics


def _series(log: _Log) -> dict[str, Series]:
    """Returns the training metrics by step. If a step has several entries, the last one is used."""
    points: dict[str, dict[int, float]] = {}
    for entry in log:
        step = step_from(entry.get("step"))
        if step is not None:
            for key, value in _entry_metrics(entry).items():
                points.setdefault(key, {})[step] = value
    return series_of(points)


def _entry_metrics(entry: Mapping[str, Any], known: Collection[str] = (_EVAL,)) -> dict[str, float]:
    """Returns the training metrics of a log entry."""
    prefixes = _prefix_by_key(entry, known)
    of_training = {key: value for key, value in entry.items() if key not in prefixes}
    return {key: value for key, value in numbers(of_training).items() if key not in _NO_METRICS}


def _train_seconds(log: _Log) -> float | None:
    found = (numbers(entry).get(f"{_TRAIN}{_RUNTIME}") for entry in reversed(log))
    return next((seconds for seconds in found if seconds is not None), None)


def _rows(entry: Mapping[str, Any], known: Collection[str] = (_EVAL,)) -> Iterator[EvalResult]:
    """Yields the eval rows of a log entry: one for each evaluated data set."""
    step = step_from(entry.get("step"))
    prefixes = _prefix_by_key(entry, known)
    for prefix in dict.fromkeys(prefixes.values()):
        values = {key: entry[key] for key, other in prefixes.items() if other == prefix}
        metrics = {key.removeprefix(f"{prefix}_"): value for key, value in numbers(values).items()}
        seconds = metrics.pop("runtime", 0.0)
        name = prefix.removeprefix(f"{_EVAL}_")
        yield EvalResult(name, metrics=metrics, eval_seconds=max(seconds, 0.0), step=step)


def _prefix_by_key(entry: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """Returns the prefix of each eval key: `eval`, `eval_NAME` of a named data set, or `test`.

    Each eval logs a `PREFIX_runtime`. A key belongs to the longest prefix that matches.
    """
    timed = [key.removesuffix(_RUNTIME) for key in entry if key.endswith(_RUNTIME)]
    prefixes = sorted({*known, *timed} - {_TRAIN, ""}, key=len, reverse=True)
    found = {
        key: next((prefix for prefix in prefixes if key.startswith(f"{prefix}_")), "")
        for key in entry
    }
    return {key: prefix for key, prefix in found.items() if prefix}
