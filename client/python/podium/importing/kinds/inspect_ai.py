"""Logs of Inspect (`inspect_ai`): `.eval`, which is a zip, and JSON.

A log is one evaluation of one model on one task: an arm, in the group of its model. Each score
is a post-training eval, named by the task, and by the scorer where there are several.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from podium._model.results import (
    ArmResult,
    ArmStatus,
    Component,
    EvalResult,
    ModelConfig,
    RunConfig,
)
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import FoundArm, Left
from podium.importing._values import head, json_object, number
from podium.importing._zips import zipfile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["InspectImporter"]

_NEWEST = 3
"""The newest version of logs that is known."""
_HEADERS = ("header.json", "_journal/start.json")
_HEADER_BYTES = 64 * 1024 * 1024
_ID_LENGTH = 8
_SUFFIXES = frozenset({".json", ".txt", ".eval"})
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*(:?)|[{}\[\]]', re.DOTALL)
_STATUSES = {
    "success": ArmStatus.COMPLETED,
    "error": ArmStatus.FAILED,
    "cancelled": ArmStatus.CANCELLED,
    "started": ArmStatus.RUNNING,
}
_FACTS = ("task_args", "task_file", "metadata", "packages", "revision", "created", "tags")
_DATASET = ("name", "location", "samples", "shuffled")

_Said = dict[str, Any]


class InspectImporter:
    """Reads logs, of which only the header is looked at: samples stay where they are."""

    kind = "inspect_ai"
    summary = "logs of Inspect, .eval and .json"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file, if it is a log."""
        if path.suffix not in _SUFFIXES or not path.is_file():
            return []
        begin = head(path)
        if path.suffix == ".eval":
            return [path] if begin.startswith(b"PK") else []
        return [path] if b'"task_id"' in begin and b"eval" in _outer_keys(begin) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Reads a log."""
        said = _zipped(path) if _is_zip(path) else json_object(path)
        if not isinstance(said.get("eval"), dict):
            raise ValueError("no log of Inspect: it has no object eval")  # noqa: TRY004 - of the file
        version = said.get("version", _NEWEST)
        if not isinstance(version, int) or version > _NEWEST:
            raise ValueError(
                f"a log of version {version}, and {_NEWEST} is the newest that is known here; "
                "a newer Podium may know it"
            )
        yield FoundArm(self.kind, _arm(said), str(path))
        if said.get("status") is None and not _scores(said):
            yield Left(str(path), "the log has no end: its results are missing", is_wrong=False)


def _outer_keys(text: bytes) -> set[bytes]:
    """The keys of an object whose beginning a text is, without those of what is in it."""
    depth, found = 0, set()
    for token in _TOKEN.finditer(text):
        if token[0] in b"{[":
            depth += 1
        elif token[0] in b"}]":
            depth -= 1
        elif depth == 1 and token[2]:
            found.add(token[1])
    return found


def _is_zip(path: Path) -> bool:
    return path.suffix == ".eval" or zipfile.is_zipfile(path)


def _zipped(path: Path) -> _Said:
    """The header of a log, or how it began if it never came to its end."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in _HEADERS if name in archive.namelist()), None)
            if name is None:
                raise ValueError(f"no log of Inspect: the zip has no {_HEADERS[0]}")
            if archive.getinfo(name).file_size > _HEADER_BYTES:
                raise ValueError(f"{name} has more than {_HEADER_BYTES:,} bytes")
            found = json.loads(archive.read(name))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"a damaged zip: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        raise ValueError(
            "a zip that this Python cannot read, perhaps since it is compressed with Zstandard: "
            f"pip install 'podium[import]' ({error})"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no JSON object")  # noqa: TRY004 - of the file
    return found


def _arm(said: _Said) -> ArmResult:
    told = said["eval"]
    model, task = str(told.get("model") or "model"), str(told.get("task") or "task")
    begin, end = _times(said)
    ids = (told.get("run_id"), told.get("task_id"))
    marks = [str(identity)[:_ID_LENGTH] for identity in ids if identity]
    name = "-".join([f"{task}@{model}", *marks])
    seconds = (end - begin).total_seconds() if begin and end and end >= begin else None
    error = said.get("error")
    return ArmResult(
        name,
        _run_config(said, model, name),
        _status(said),
        evals=list(_evals(said, task, seconds or 0.0, end)),
        run_id=str(told["run_id"]) if told.get("run_id") else None,
        error=str(error.get("message") or error) if isinstance(error, dict) else None,
        eval_seconds=seconds,
        group_name=model,
    )


def _status(said: _Said) -> ArmStatus:
    unsaid = ArmStatus.COMPLETED if _scores(said) else ArmStatus.RUNNING
    return _STATUSES.get(str(said.get("status")), unsaid)


def _times(said: _Said) -> tuple[datetime | None, datetime | None]:
    stats = said.get("stats")
    told = stats if isinstance(stats, dict) else {}
    return _time(told.get("started_at")), _time(told.get("completed_at"))


def _time(text: Any) -> datetime | None:
    """Reads a time; one without a zone is taken as UTC."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _run_config(said: _Said, model: str, name: str) -> RunConfig:
    told = said["eval"]
    dataset = told.get("dataset") if isinstance(told.get("dataset"), dict) else {}
    facts = {key: told[key] for key in _FACTS if told.get(key)}
    facts["dataset"] = {key: dataset[key] for key in _DATASET if key in dataset}
    settings = told.get("config") if isinstance(told.get("config"), dict) else {}
    arguments = told.get("model_args") if isinstance(told.get("model_args"), dict) else {}
    return RunConfig(
        name,
        model=ModelConfig(model),
        backend=Component("inspect_ai", kept_values(arguments)),
        eval=kept_values(settings),
        seed=seed_from(settings.get("seed")),
        extras=kept_values(facts),
    )


def _evals(said: _Said, task: str, seconds: float, time: datetime | None) -> Iterator[EvalResult]:
    scores = _scores(said)
    names = _names(scores)
    for score, name in zip(scores, names, strict=True):
        row = EvalResult(
            task if len(scores) == 1 else f"{task}/{name}",
            _benchmark(said, task),
            {**_metrics(score), **_sample_count(said, score)},
            eval_seconds=seconds,
            tags=["test"],
        )
        row.event_time = time
        yield row


def _scores(said: _Said) -> list[_Said]:
    """The scores, which older logs call scorers."""
    results = said.get("results")
    told = results if isinstance(results, dict) else {}
    found = told.get("scores", told.get("scorers"))
    listed = found if isinstance(found, list) else [found]
    return [score for score in listed if isinstance(score, dict)]


def _names(scores: list[_Said]) -> list[str]:
    """The name of each score, and how it took several epochs together if that is told.

    Where two have one name the scorer stands before it, and a number behind it if need be.
    """
    names = [_name(score) for score in scores]
    counts = Counter(names)
    told = [
        f"{score.get('scorer')}/{name}" if counts[name] > 1 and score.get("scorer") else name
        for score, name in zip(scores, names, strict=True)
    ]
    return [f"{name}-{n}" if (n := told[:at].count(name)) else name for at, name in enumerate(told)]


def _name(score: _Said) -> str:
    reducer = score.get("reducer")
    return f"{score.get('name', 'score')}{f'/{reducer}' if reducer else ''}"


def _benchmark(said: _Said, task: str) -> str | None:
    version = said["eval"].get("task_version")
    return None if version is None else f"{task}@{version}"


def _metrics(score: _Said) -> dict[str, float]:
    told = score.get("metrics")
    metrics: Mapping[str, Any] = told if isinstance(told, dict) else {}
    values = {
        key: number(metric.get("value") if isinstance(metric, dict) else metric)
        for key, metric in metrics.items()
    }
    return {key: value for key, value in values.items() if value is not None}


def _sample_count(said: _Said, score: _Said) -> dict[str, float]:
    count = number(score.get("scored_samples", said["results"].get("completed_samples")))
    return {} if count is None else {"n_samples": count}
