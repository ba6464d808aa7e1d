"""Runs of Weights & Biases on disk: `wandb/run-<time>-<id>/`, with a log and a summary.

A run is an arm. Its log has the history, the configuration, the summary and the exit code. Without
a log, the summary and the configuration are read from the files that the run uploaded.
"""

import re
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from podium.importing._found import Found
from podium.importing._identities import digest_of
from podium.importing._values import content_of, head
from podium.importing.kinds.wandb._log import HEADER
from podium.importing.kinds.wandb._run import METADATA, SUMMARY, read_run

__all__ = ["WandbImporter"]

_RUN = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)", re.DOTALL)
_CONFIG = Path("files", "config.yaml")
_LATEST = "latest-run"
"""The link to the latest run's folder. In a copy of `wandb/`, it may be a copy of that folder."""


class WandbImporter:
    """Imports the runs in a folder, and single runs."""

    kind = "wandb"
    summary = "runs of Weights & Biases (wandb/)"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the files of each run. The folders of a resumed run are read together."""
        if path.is_file():
            return [path] if _is_log(path) else []
        if not path.is_dir():
            return []
        return [file for folder in _folders(path) for file in _files(folder)]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields an arm for each run."""
        if path.is_file():
            yield from read_run(_id_of_log(path), [path])
            return
        runs = sorted(run for folder in _folders(path) for run in _runs(folder))
        for run_id, of_id in groupby(runs, key=lambda run: run.run_id):
            yield from read_run(run_id, [file for run in of_id for file in run.files])


class _Run(NamedTuple):
    """The files of a run in one folder."""

    run_id: str
    folder: str
    files: list[Path]


def _runs(folder: Path) -> list[_Run]:
    """Returns the runs in a folder. A copy of `latest-run` can have the logs of several runs."""
    logs = _logs(folder)
    if len(logs) > 1:
        return [_Run(_id_of_log(log), folder.name, [log]) for log in logs]
    return [_Run(_id(folder), folder.name, _files(folder))]


def _folders(path: Path) -> list[Path]:
    """Returns the folders of runs: the path itself, or folders in it."""
    if _files(path):
        return [path]
    inside = (found for found in path.glob("*run-*") if _RUN.fullmatch(found.name))
    return [folder for folder in inside if not folder.is_symlink() and _files(folder)]


def _id(folder: Path) -> str:
    """Returns the id of a run, from the name of its log or its folder."""
    logs = _logs(folder)
    if logs:
        return _id_of_log(logs[0])
    name = folder.resolve().name
    if name == _LATEST:
        return _id_of_copy(folder.resolve())
    named = _RUN.fullmatch(name)
    return named["id"] if named else name


def _id_of_log(log: Path) -> str:
    return log.stem.removeprefix("run-")


def _id_of_copy(latest: Path) -> str:
    """Returns the id of the run that `latest-run` is a copy of.

    If that run is not in the same folder, returns a digest of the files in `latest-run`.
    """
    files = [content_of(file) for file in _files(latest)]
    for folder in _folders(latest.parent):
        if [content_of(file) for file in _files(folder)] == files:
            return _id(folder)
    return digest_of(_LATEST, b"".join(files))


def _files(folder: Path) -> list[Path]:
    """Returns the files of a run, or an empty list if the folder does not have a run."""
    logs = _logs(folder)
    summary = folder / "files" / SUMMARY
    if not logs and not summary.is_file() and not _RUN.fullmatch(folder.name):
        return []
    others = (summary, folder / _CONFIG, folder / "files" / METADATA)
    return [*logs, *(file for file in others if file.is_file())]


def _logs(folder: Path) -> list[Path]:
    return sorted(found for found in folder.glob("*.wandb") if _is_log(found))


def _is_log(file: Path) -> bool:
    """Returns whether a file is a log. An empty `.wandb` file counts as a log."""
    begin = head(file)
    return file.suffix == ".wandb" and (begin.startswith(HEADER) or not begin)
