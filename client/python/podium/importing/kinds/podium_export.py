"""Podium's own export, JSON lines: what `podium export` has written, on any server."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from podium._files import json_form
from podium._files.parquet import is_export, read_items
from podium._model.mirror import drop_mirrored
from podium._model.results import ArmResult, Experiment
from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._values import head, json_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["PodiumImporter"]

_PARQUET = ".parquet"
_SUFFIXES = (".jsonl", ".jsonl.gz")
_DECLARED, _CONCLUDED = "experiment_declared", "experiment_concluded"

_FIELDS = {field.name for field in fields(FoundExperiment)} - {"name", "source"}

_Said = dict[str, Any]


class PodiumImporter:
    """Reads exports: experiments, their arms with all rows, and their conclusions."""

    kind = "podium"
    summary = "what `podium export` has written, .jsonl, .jsonl.gz and .parquet"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file, if its first line is of an export."""
        if path.suffix == _PARQUET and path.is_file():
            return [path] if is_export(path) else []
        if not path.name.endswith(_SUFFIXES) or not path.is_file():
            return []
        try:
            first = json.loads(head(path).partition(b"\n")[0])
        except ValueError:
            return []
        return [path] if isinstance(first, dict) and _is_item(first) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Reads an export line by line."""
        items = enumerate(read_items(path), 1) if path.suffix == _PARQUET else json_lines(path)
        for number, said in items:
            source = f"{path}:{number}"
            if isinstance(said, ValueError):
                yield Left(source, str(said))
                continue
            try:
                yield _found(said, source)
            except ValueError as error:
                yield Left(source, str(error))


def _is_item(said: _Said) -> bool:
    kind = said.get("event")
    return "experiment" in said and (kind in {_DECLARED, _CONCLUDED} or "run_config" in said)


def _found(said: _Said, source: str) -> Found:
    if not _is_item(said):
        raise ValueError("neither an experiment of an export, nor an arm with its experiment")
    name = str(said["experiment"])
    if "event" not in said:
        arm = json_form.record_from_json(ArmResult, said, "arm")
        drop_mirrored(arm)
        return FoundArm(name, arm, source)
    told = {key: value for key, value in said.items() if key not in {"event", "experiment"}}
    unknown = told.keys() - _FIELDS
    if unknown:
        raise ValueError(f"{said['event']}: no such field: {', '.join(sorted(unknown))}")
    read = json_form.record_from_json(Experiment, {**told, "name": name}, said["event"])
    return FoundExperiment(name, source, **{field: getattr(read, field) for field in told})
