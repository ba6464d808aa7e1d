"""Runs of Lightning's CSVLogger: `lightning_logs/version_0/` with `metrics.csv` and `hparams.yaml`.

Columns whose names begin like an evaluation become eval rows: `val_` columns become in-loop rows,
and `test_` columns become a post-training row. Other columns become training metrics.
"""

import re
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any

from podium._model.results import ArmResult, ArmStatus, Component, EvalResult, RunConfig
from podium.importing._configs import kept_values, seed_from, step_from
from podium.importing._found import Found, FoundArm, NotImported, attempted
from podium.importing._identities import digest_of, name_of_folder
from podium.importing._rows import Logged, eval_and_metric, with_last_rows
from podium.importing._tables import csv_rows
from podium.importing._values import head, number, yaml_object

__all__ = ["CONFIG", "METRICS", "LightningImporter", "read_hparams"]

METRICS = "metrics.csv"
CONFIG = "hparams.yaml"
_STEP = "step"
_EPOCH = "epoch"
_VERSION = re.compile(r"version_\d+")
_TEST = "test"
_NO_NAME = re.compile(r"version_\d+|lightning_logs|csv_logs|logs?", re.IGNORECASE)
"""Generic folder names. The parent folder's name is added to them."""
_LOADER = re.compile(r"(?P<key>.+)(?P<loader>/dataloader_idx_\d+)", re.DOTALL)


class LightningImporter:
    """Imports the folders that CSVLogger writes."""

    kind = "lightning"
    summary = f"runs of Lightning's CSVLogger ({METRICS} and {CONFIG})"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the files of a run: `metrics.csv`, and `hparams.yaml` if it exists.

        Without `hparams.yaml`, the folder must have a name like `version_0` and `metrics.csv` must
        have a column `epoch`, because other tools also write files named `metrics.csv`.
        """
        folder = path.parent if path.name == METRICS else path
        files = [file for file in (folder / METRICS, folder / CONFIG) if file.is_file()]
        if not files or files[0].name != METRICS or not _is_log(files):
            return []
        return [path] if path.name == METRICS else files

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arm of a run."""
        file = path if path.name == METRICS else path / METRICS
        logged, test = Logged(), EvalResult(_TEST, tags=["test"])
        identity = yield from _read(file, logged, test)
        name = name_of_folder(file.resolve().parent, _is_generic)
        rows = logged.rows() + ([test] if test.metrics else [])
        arm = ArmResult(
            name,
            (yield from _run_config(file.with_name(CONFIG), name)),
            ArmStatus.COMPLETED,
            logged.latest,
            evals=with_last_rows(rows),
            run_id=identity,
        )
        yield FoundArm(self.kind, arm, str(path), logged.series())


def _is_generic(folder: Path) -> bool:
    return bool(_NO_NAME.fullmatch(folder.name))


def _is_log(files: list[Path]) -> bool:
    """Returns whether the first file, `metrics.csv`, is a Lightning log. The log may be empty."""
    begin = head(files[0])
    header = begin.split(b"\n", 1)[0].decode(errors="replace").strip().split(",")
    if len(files) == 1 and not (_VERSION.fullmatch(files[0].parent.name) and _EPOCH in header):
        return False
    return not begin or _STEP in header


def _read(file: Path, logged: Logged, test: EvalResult) -> Generator[Found, None, str | None]:
    """Reads a run into `logged` and `test`.

    Returns a digest of the run's first line, which identifies the run.
    """
    identity = None
    not_numbers: Counter[str] = Counter()
    for line, found in csv_rows(file, is_log=True):
        try:
            step, row = _row(found)
        except ValueError as error:
            yield NotImported(f"{file}:{line}", str(error))
            continue
        identity = identity or digest_of("lightning", {_STEP: step, **row})
        for column, text in row.items():
            value = number(text)
            if value is None:
                not_numbers[column] += 1
            else:
                _add(logged, test, column, step, value)
    for column, count in not_numbers.items():
        lines = "line" if count == 1 else "lines"
        why = f"{column!r} is not a number in {count:,} {lines}"
        yield NotImported(str(file), why, is_wrong=False)
    return identity


def _row(found: dict[str, Any] | ValueError) -> tuple[int, dict[str, Any]]:
    """Returns the step of a line, and its other cells."""
    if isinstance(found, ValueError):
        raise found
    step = step_from(found.get(_STEP) or None)
    if step is None:
        raise ValueError("the line has no step")
    return step, {column: cell for column, cell in found.items() if column != _STEP and cell}


def _add(logged: Logged, test: EvalResult, column: str, step: int, value: float) -> None:
    found = _LOADER.fullmatch(column)
    key, loader = (found["key"], found["loader"]) if found else (column, "")
    of_eval = eval_and_metric(key)
    if of_eval is None:
        logged.add(column, step, value)
    elif of_eval[0] == _TEST and not loader:
        test.metrics[of_eval[1]] = value
    else:
        logged.add_to_eval(of_eval[0] + loader, of_eval[1], step, value)


def read_hparams(file: Path) -> Generator[Found, None, dict[str, Any]]:
    """Returns the content of `hparams.yaml`.

    If it is missing or cannot be read, yields the reason and returns an empty dict.
    """
    if not file.exists():
        why = f"the run has no {file.name}, so its settings are not known"
        yield NotImported(str(file.parent), why, is_wrong=False)
    elif head(file).strip() not in (b"", b"{}", b"null") or not file.is_file():
        return (yield from attempted(file, yaml_object)) or {}
    return {}


def _run_config(file: Path, name: str) -> Generator[Found, None, RunConfig]:
    """Returns the configuration of a run. If its settings cannot be read, yields the reason."""
    values = yield from read_hparams(file)
    algorithm = Component("lightning", kept_values(values))
    return RunConfig(name, algorithm=algorithm, seed=seed_from(values.get("seed")))
