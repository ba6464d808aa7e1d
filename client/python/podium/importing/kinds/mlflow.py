"""File stores of MLflow's tracking: `mlruns/<experiment>/<run>/`, a file a parameter and metric.

A run is an arm. Metrics whose name begins with that of an evaluation (`eval/`, `val_` …) are
eval rows by step; of the others the last value is kept.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._rows import with_last_rows
from podium.importing._values import number, time_from_seconds, yaml_object

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["MlflowImporter"]

_META = "meta.yaml"
_ID_LENGTH = 8
_MILLISECONDS = 1000
_RUN = re.compile(r"[0-9a-f]{32}")
_SEEDS = ("seed", "random_seed", "random_state")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS = {"True": True, "False": False, "None": None}
_EVAL = re.compile(r"(eval|evaluation|val|valid|validation|dev|test)[/_.](.+)", re.DOTALL)
_STATUSES = {
    "1": ArmStatus.RUNNING,
    "2": ArmStatus.PENDING,
    "3": ArmStatus.COMPLETED,
    "4": ArmStatus.FAILED,
    "5": ArmStatus.CANCELLED,
    "RUNNING": ArmStatus.RUNNING,
    "SCHEDULED": ArmStatus.PENDING,
    "FINISHED": ArmStatus.COMPLETED,
    "FAILED": ArmStatus.FAILED,
    "KILLED": ArmStatus.CANCELLED,
}

_Said = dict[str, Any]


class _Value(NamedTuple):
    """A line of a metric's file."""

    time: float
    value: float
    step: int


class MlflowImporter:
    """Reads file stores, single experiments of one, and single runs."""

    kind = "mlflow"
    summary = "file stores of MLflow (mlruns/)"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns a run's folder, or the description of an experiment: its runs are found apart.

        Nothing is found apart in an experiment that was deleted.
        """
        meta = path / _META
        if not path.is_dir() or not meta.is_file():
            return []
        if _is_run(path):
            return [path]
        if not _says(meta, r"artifact_location:") or _says(meta, r"model_id:"):
            return []
        return [path if _says(meta, r"lifecycle_stage:\s*deleted") else meta]

    def read(self, path: Path) -> Iterator[Found]:
        """Reads a run, or what an experiment's description says."""
        if _is_run(path):
            above = path.parent / _META
            name = _name_of(yaml_object(above) if above.is_file() else {}, path.parent)
            yield from _run(path, name)
        elif (path / _META).is_file():
            yield from _experiment(path)
        else:
            raise ValueError(f"neither an experiment nor a run: it has no {_META}")


def _is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, also where its description was cut off."""
    meta = folder / _META
    return meta.is_file() and bool(_RUN.fullmatch(folder.name) or _says(meta, "run_(?:uu)?id:"))


def _says(file: Path, line: str) -> bool:
    """Whether a line of a file begins so."""
    return bool(re.search(rf"^{line}", file.read_text(errors="replace"), re.MULTILINE))


def _experiment(folder: Path) -> Iterator[Found]:
    said = yield from _meta(folder)
    if said is None:
        return
    name = _name_of(said, folder)
    if _is_deleted(said):
        yield Left(str(folder), f"experiment {name!r} was deleted", is_wrong=False)
    elif any(folder.glob(f"*/{_META}")):
        facts = {key: value for key, value in said.items() if key != "name" and value}
        metadata = kept_values({"mlflow": facts})
        yield FoundExperiment(name, str(folder / _META), metadata=metadata)


def _name_of(said: _Said, folder: Path) -> str:
    return str(said.get("name") or f"mlflow-{folder.name}").strip("/")


def _meta(folder: Path) -> Generator[Found, None, _Said | None]:
    """Reads a folder's description; None, and why, where it cannot be read."""
    try:
        return yaml_object(folder / _META)
    except (ValueError, OSError) as error:
        yield Left(str(folder / _META), str(error))
        return None


def _is_deleted(said: _Said) -> bool:
    return said.get("lifecycle_stage") == "deleted"


def _run(folder: Path, experiment: str) -> Iterator[Found]:
    said = yield from _meta(folder)
    if said is None:
        return
    if _is_deleted(said):
        yield Left(str(folder), "the run was deleted", is_wrong=False)
        return
    identity = str(said.get("run_id") or said.get("run_uuid") or folder.name)
    tags = _texts(folder / "tags")
    title = str(said.get("run_name") or tags.get("mlflow.runName") or said.get("name") or "run")
    name = f"{title}-{identity[:_ID_LENGTH]}"
    status = _STATUSES.get(str(said.get("status")), ArmStatus.RUNNING)
    metrics, rows = yield from _metrics(folder / "metrics")
    arm = ArmResult(
        name,
        _run_config(name, said, _texts(folder / "params"), tags),
        status,
        metrics,
        evals=with_last_rows(rows) if status == ArmStatus.COMPLETED else rows,
        run_id=identity,
        train_seconds=_seconds(said),
    )
    yield FoundArm(experiment, arm, str(folder))


def _run_config(name: str, said: _Said, params: dict[str, str], tags: dict[str, str]) -> RunConfig:
    values = {key: _plain(text) for key, text in params.items()}
    facts = {key: value for key, value in said.items() if value not in (None, "", [])}
    return RunConfig(
        name,
        algorithm=Component("mlflow", kept_values(values)),
        seed=next((seed_from(params[key]) for key in _SEEDS if key in params), None),
        extras=kept_values({"mlflow": {**facts, "tags": tags}}),
    )


def _plain(text: str) -> Any:
    """A parameter, which is always a text there: a number again if it was one."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.fullmatch(text) or re.match(r"[-+]?0\d", text):
        return text  # 007 is a name, as is 1_000
    value = number(text) if re.search(r"[.eE]", text) else seed_from(text)
    return text if value is None else value


def _texts(folder: Path) -> dict[str, str]:
    """The files of a folder and what stands in them; names may have slashes."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {_key(file, folder): file.read_text(errors="replace").rstrip("\n") for file in files}


def _key(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _seconds(said: _Said) -> float | None:
    start, end = number(said.get("start_time")), number(said.get("end_time"))
    if not start or not end or end < start:
        return None
    return (end - start) / _MILLISECONDS


def _metrics(
    folder: Path,
) -> Generator[Found, None, tuple[dict[str, float], list[EvalResult]]]:
    """Reads the metrics: the last value of each, and the rows of those that are evaluations."""
    last: dict[str, float] = {}
    rows: defaultdict[tuple[int, str], dict[str, _Value]] = defaultdict(dict)
    for file in sorted(found for found in folder.rglob("*") if found.is_file()):
        values = yield from _values(file)
        if not values:
            continue
        match = _EVAL.fullmatch(_key(file, folder))
        if match is None:
            # Of one step and millisecond the line that was written last counts.
            values.reverse()
            last[_key(file, folder)] = max(values, key=lambda told: (told.step, told.time)).value
            continue
        for told in values:
            rows[told.step, match[1]][match[2]] = told
    return last, [_row(name, step, rows[step, name]) for step, name in sorted(rows)]


def _row(name: str, step: int, told: dict[str, _Value]) -> EvalResult:
    row = EvalResult(name, metrics={key: value.value for key, value in told.items()}, step=step)
    row.event_time = time_from_seconds(max(value.time for value in told.values()) / _MILLISECONDS)
    return row


def _values(file: Path) -> Generator[Found, None, list[_Value]]:
    """Reads a metric's lines: time in milliseconds, value and step, which old files lack."""
    values = []
    for line_number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        try:
            time, value, *more = line.split()
            values.append(_Value(float(time), float(value), _step(more)))
        except ValueError:
            yield Left(f"{file}:{line_number}", "not TIME VALUE STEP")
    return values


def _step(told: list[str]) -> int:
    step = int(told[0]) if told else 0
    if not -(2**63) <= step < 2**63:
        raise ValueError(f"{step} is no step")
    return step
