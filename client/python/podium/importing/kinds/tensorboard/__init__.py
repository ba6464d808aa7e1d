"""Event files of TensorBoard: the scalars and hyperparameters of a run.

A run is the folder of its event files. Keras and estimators write the training metrics and the
evaluations of a run to separate folders (`train`, `validation`), which are read as one run.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium._model.results import ArmResult, ArmStatus, Component, RunConfig
from podium.importing._configs import kept_values, seed_from
from podium.importing._found import Found, FoundArm, NotImported
from podium.importing._identities import digest_of, name_of_folder
from podium.importing._rows import Logged, eval_and_metric, with_last_rows
from podium.importing._values import time_from_seconds
from podium.importing.kinds.lightning import CONFIG, METRICS, read_hparams
from podium.importing.kinds.tensorboard._events import (
    EventsError,
    events,
    first_record,
    hyperparameters,
    scalar,
)

__all__ = ["TensorboardImporter"]

_MARK = ".tfevents."
_TRAIN = re.compile(r"train(?:ing)?", re.IGNORECASE)
_EVAL = re.compile(r"eval(?:uation)?|val(?:id(?:ation)?)?|dev|test", re.IGNORECASE)
_NO_NAME = re.compile(
    r"version_\d+|logs?|runs|tb|tensorboard|events?|[\d.]+|train(?:ing)?", re.IGNORECASE
)
"""Generic folder names. The parent folder's name is added to them."""
_KERAS = "epoch_"
_START = 1
_STATUSES = {2: ArmStatus.FAILED, 3: ArmStatus.RUNNING}


@dataclass(slots=True)
class _Run:
    logged: Logged = field(default_factory=Logged)
    config: dict[str, Any] = field(default_factory=dict)
    status: ArmStatus = ArmStatus.COMPLETED
    not_scalars: Counter[str] = field(default_factory=Counter)


class TensorboardImporter:
    """Imports the scalars of event files."""

    kind = "tensorboard"
    summary = "event files of TensorBoard (events.out.tfevents.*)"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the event files of a run, including those of its training and evaluations.

        Also returns the `hparams.yaml` of Lightning, unless there is a `metrics.csv` next to it.
        """
        if path.is_file():
            return [path] if _MARK in path.name else []
        files = _files(path) if path.is_dir() else []
        has_config = files and (path / CONFIG).is_file() and not (path / METRICS).is_file()
        return [*files, path / CONFIG] if has_config else files

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the arm of a run."""
        files = [path] if path.is_file() else _files(path)
        folder = (path.parent if path.is_file() else path).resolve()
        run = _Run()
        has_errors = False
        for file in files:
            part = "" if file.parent == path else file.parent.name
            try:
                _read(run, file, part if _EVAL.fullmatch(part) else "")
            except (EventsError, OSError) as error:
                has_errors = True
                yield NotImported(str(file), str(error))
        for tag, count in run.not_scalars.items():
            yield NotImported(
                str(path), f"{tag!r} has no scalars in {count:,} records", is_wrong=False
            )
        for key, count in run.logged.replaced.items():
            values = "value" if count == 1 else "values"
            why = f"{key!r} has {count:,} {values} that a later value at the same step replaced"
            yield NotImported(str(path), why, is_wrong=False)
        if not run.config and (folder / CONFIG).is_file():
            run.config = yield from read_hparams(folder / CONFIG)
        arm = _arm(run, name_of_folder(folder, _needs_parent), _identity(files))
        if arm.metrics or arm.evals or run.config:
            yield FoundArm(self.kind, arm, str(path), run.logged.series())
        elif not has_errors:
            yield NotImported(str(path), "the event files have no scalars", is_wrong=False)


def _files(folder: Path) -> list[Path]:
    """Returns the event files of a run, or an empty list if the folder does not have a run."""
    own = _events_in(folder)
    parts = {
        part.name: _events_in(part)
        for part in sorted(folder.glob("[tTeEvVdD]*"))
        if not part.is_symlink() and (_TRAIN.fullmatch(part.name) or _EVAL.fullmatch(part.name))
    }
    has_training = own or any(files for name, files in parts.items() if _TRAIN.fullmatch(name))
    return [*own, *(file for files in parts.values() for file in files)] if has_training else []


def _events_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob(f"*{_MARK}*") if file.is_file())


def _read(run: _Run, file: Path, eval_name: str) -> None:
    if not file.stat().st_size:
        raise EventsError("the file is empty")
    for event in events(file):
        if event.session_log.status == _START:
            run.logged.remove_from(event.step)  # a restart logs these steps again
        time = time_from_seconds(event.wall_time)
        for value in event.summary.value:
            _take(run, value, event.step, time, eval_name)


def _take(run: _Run, value: Any, step: int, time: Any, eval_name: str) -> None:
    tag = value.tag.decode(errors="replace")
    plugin = value.metadata.plugin_data
    if plugin.plugin_name == b"hparams":
        config, status = hyperparameters(plugin.content)
        run.config |= config
        run.status = _STATUSES.get(status, run.status)
        return
    number = scalar(value)
    if number is None:
        run.not_scalars[tag] += 1
    elif eval_name:
        run.logged.add_to_eval(eval_name, tag, step, number, time)
    else:
        of_eval = eval_and_metric(tag.removeprefix(_KERAS))
        if of_eval is not None:
            run.logged.add_to_eval(*of_eval, step, number, time)
        else:
            run.logged.add(tag, step, number)


def _arm(run: _Run, name: str, identity: str) -> ArmResult:
    rows = run.logged.rows()
    is_finished = run.status == ArmStatus.COMPLETED
    return ArmResult(
        name,
        RunConfig(
            name,
            algorithm=Component("tensorboard", kept_values(run.config)),
            seed=seed_from(run.config.get("seed")),
        ),
        run.status,
        run.logged.latest,
        evals=with_last_rows(rows) if is_finished else rows,
        run_id=identity,
    )


def _identity(files: list[Path]) -> str:
    """Returns a digest of the first file's beginning, which does not change while a run goes on."""
    first = min(files, key=lambda file: file.name.partition(_MARK)[2])
    try:
        begin = first_record(first)
    except (ValueError, OSError):
        begin = b""
    return digest_of("tb", os.fsencode(first.name) + begin)


def _needs_parent(folder: Path) -> bool:
    above = (folder.parent, folder.parent.parent)
    return bool(_NO_NAME.fullmatch(folder.name)) or any(_events_in(one) for one in above)
