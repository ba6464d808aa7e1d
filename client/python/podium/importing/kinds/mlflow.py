"""File stores of MLflow: `mlruns/<experiment>/<run>/`, with a file for each parameter and metric.

A run is an arm. Metrics whose names begin or end like an evaluation (`val_…`, `…/val`) become eval
rows by step. Other metrics become training metrics with their series.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from podium._interface.provenance import known
from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium.importing._configs import kept_values, plain, seed_from
from podium.importing._databases import has_tables
from podium.importing._found import Found, FoundArm, FoundExperiment, NotImported, attempted
from podium.importing._rows import eval_and_metric, series_of, with_last_rows
from podium.importing._values import head, number, text_of, time_from_seconds, yaml_object

__all__ = ["MlflowImporter"]

_META = "meta.yaml"
_ID_LENGTH = 8
_MILLISECONDS = 1000
_PARTS_OF_RUN = ("metrics", "params", "tags")
_TABLES = ("experiments", "runs", "latest_metrics", "params")
_NO_DATABASES = (
    "databases of MLflow are not supported; write the runs to a CSV file with "
    "mlflow.search_runs().to_csv('runs.csv'), and import it with "
    "--map arm=run_id,metric=metrics.NAME"
)
_RUN = re.compile(r"[0-9a-f]{32}")
_COMMIT, _SOURCE = "mlflow.source.git.commit", "mlflow.source.name"
_SEEDS = ("seed", "random_seed", "random_state")
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

_Object = dict[str, Any]
_Points = dict[str, dict[int, float]]


class _Value(NamedTuple):
    """A line of a metric's file. The time is in milliseconds."""

    time: float
    value: float
    step: int


class MlflowImporter:
    """Imports file stores, single experiments and single runs."""

    kind = "mlflow"
    summary = "file stores of MLflow (mlruns/)"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns a run's folder, the description file of an experiment, or a database.

        The runs of an experiment are claimed separately. A deleted experiment is claimed as a
        whole, so that its runs are not read.
        """
        meta = path / _META
        if not path.is_dir():
            return [path] if has_tables(path, _TABLES) else []
        if _is_run(path):
            return [path]
        if not meta.is_file():
            return []
        if not _has_line(meta, r"artifact_location:") or _has_line(meta, r"model_id:"):
            return []
        return [path if _has_line(meta, r"lifecycle_stage:\s*deleted") else meta]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arm of a run's folder, or the experiment of an experiment's folder."""
        if path.is_file():
            raise ValueError(_NO_DATABASES)
        if _is_run(path):
            above = path.parent / _META
            name = _name_of(yaml_object(above) if above.is_file() else {}, path.parent)
            yield from _run(path, name)
        elif (path / _META).is_file():
            yield from _experiment(path)
        else:
            raise ValueError(f"not an experiment or run of MLflow: the folder lacks {_META}")


def _is_run(folder: Path) -> bool:
    """Returns whether a folder has a run. The run's description may be incomplete or missing."""
    meta = folder / _META
    if _RUN.fullmatch(folder.name):
        return meta.is_file() or any((folder / part).is_dir() for part in _PARTS_OF_RUN)
    return meta.is_file() and _has_line(meta, "run_(?:uu)?id:")


def _has_line(file: Path, pattern: str) -> bool:
    """Returns whether a line near the beginning of a file begins with a pattern."""
    return bool(re.search(rf"^{pattern}", head(file).decode(errors="replace"), re.MULTILINE))


def _experiment(folder: Path) -> Iterator[Found]:
    meta = yield from _read_meta(folder)
    if meta is None:
        return
    name = _name_of(meta, folder)
    if _is_deleted(meta):
        yield NotImported(str(folder), f"experiment {name!r} was deleted", is_wrong=False)
    elif any(folder.glob(f"*/{_META}")):
        facts = {key: value for key, value in meta.items() if key != "name" and value}
        metadata = kept_values({"mlflow": facts})
        yield FoundExperiment(name, str(folder / _META), metadata=metadata)


def _name_of(meta: _Object, folder: Path) -> str:
    return str(meta.get("name") or f"mlflow-{folder.name}").strip("/")


def _read_meta(folder: Path) -> Generator[Found, None, _Object | None]:
    """Reads a folder's description. If that fails, yields the error and returns None."""
    if (folder / _META).exists():
        return (yield from attempted(folder / _META, yaml_object))
    yield NotImported(str(folder), f"the run lacks its description, {_META}")
    return None


def _is_deleted(meta: _Object) -> bool:
    return meta.get("lifecycle_stage") == "deleted"


def _run(folder: Path, experiment: str) -> Iterator[Found]:
    meta = yield from _read_meta(folder)
    if meta is None:
        return
    if _is_deleted(meta):
        yield NotImported(str(folder), "the run was deleted", is_wrong=False)
        return
    identity = str(meta.get("run_id") or meta.get("run_uuid") or folder.name)
    tags = yield from _texts(folder / "tags")
    params = yield from _texts(folder / "params")
    title = str(meta.get("run_name") or tags.get("mlflow.runName") or meta.get("name") or "run")
    name = f"{title}-{identity[:_ID_LENGTH]}"
    status = _STATUSES.get(str(meta.get("status")))
    if status is None:
        why = "the description is incomplete: the status of the run is missing"
        yield NotImported(str(folder / _META), why)
        return
    metrics, rows, series = yield from _metrics(folder / "metrics")
    arm = ArmResult(
        name,
        _run_config(name, meta, params, tags),
        status,
        metrics,
        evals=with_last_rows(rows) if status == ArmStatus.COMPLETED else rows,
        run_id=identity,
        train_seconds=_seconds(meta),
    )
    arm.provenance = known(tags.get(_COMMIT), [tags.get(_SOURCE)])
    yield FoundArm(experiment, arm, str(folder), series_of(series))


def _run_config(
    name: str, meta: _Object, params: dict[str, str], tags: dict[str, str]
) -> RunConfig:
    values = {key: plain(text) for key, text in params.items()}
    facts = {key: value for key, value in meta.items() if value not in (None, "", [])}
    return RunConfig(
        name,
        algorithm=Component("mlflow", kept_values(values)),
        seed=next((seed_from(params[key]) for key in _SEEDS if key in params), None),
        extras=kept_values({"mlflow": {**facts, "tags": tags}}),
    )


def _texts(folder: Path) -> Generator[Found, None, dict[str, str]]:
    """Returns the content of each file in a folder, by its path relative to the folder."""
    texts = {}
    for file in sorted(found for found in folder.rglob("*") if found.is_file()):
        text = yield from attempted(file, text_of)
        if text is not None:
            texts[_key(file, folder)] = text.rstrip("\n")
    return texts


def _key(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _seconds(meta: _Object) -> float | None:
    start, end = number(meta.get("start_time")), number(meta.get("end_time"))
    if not start or not end or end < start:
        return None
    return (end - start) / _MILLISECONDS


def _metrics(
    folder: Path,
) -> Generator[Found, None, tuple[dict[str, float], list[EvalResult], _Points]]:
    """Reads the files of metrics.

    Returns the last value of each training metric, the in-loop rows, and the training series.
    """
    series: _Points = {}
    last: dict[str, float] = {}
    rows: defaultdict[tuple[int, str], dict[str, _Value]] = defaultdict(dict)
    for file in sorted(found for found in folder.rglob("*") if found.is_file()):
        values = yield from _values(file)
        if not values:
            continue
        of_eval = eval_and_metric(_key(file, folder))
        if of_eval is None:
            # If steps and times are equal, the last line of the file counts: sorting is stable.
            in_order = sorted(values, key=lambda line: (line.step, line.time))
            series[_key(file, folder)] = {line.step: line.value for line in in_order}
            last[_key(file, folder)] = in_order[-1].value
            continue
        for value in values:
            rows[value.step, of_eval[0]][of_eval[1]] = value
    rows_by_step = [_row(name, step, rows[step, name]) for step, name in sorted(rows)]
    return last, rows_by_step, series


def _row(name: str, step: int, values: dict[str, _Value]) -> EvalResult:
    row = EvalResult(name, metrics={key: value.value for key, value in values.items()}, step=step)
    row.event_time = time_from_seconds(max(value.time for value in values.values()) / _MILLISECONDS)
    return row


def _values(file: Path) -> Generator[Found, None, list[_Value]]:
    """Reads the lines of a metric: a time, a value and a step. Old files lack the step."""
    values: list[_Value] = []
    text = yield from attempted(file, text_of)
    for line_number, line in enumerate((text or "").splitlines(keepends=True), start=1):
        try:
            if not line.endswith("\n"):
                raise ValueError("the line is incomplete: its writer was stopped")  # noqa: TRY301
            values.append(_value(line))
        except ValueError as error:
            yield NotImported(f"{file}:{line_number}", str(error))
    return values


def _value(line: str) -> _Value:
    try:
        time, value, *more = line.split()
        return _Value(float(time), float(value), _step(more))
    except ValueError as error:
        raise ValueError("the line does not have the form TIME VALUE STEP") from error


def _step(words: list[str]) -> int:
    step = int(words[0]) if words else 0
    if not -(2**63) <= step < 2**63:
        raise ValueError(f"{step} is not a 64-bit integer")
    return step
