"""Files that `podium export` wrote, from any server."""

import json
from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from podium._files import json_form
from podium._files.event_json import event_from_json
from podium._files.parquet import is_export, read_items
from podium._model.results import Experiment
from podium.curves import Series
from podium.importing._found import Found, FoundArm, FoundExperiment, NotImported
from podium.importing._values import head, json_lines

__all__ = ["PodiumImporter"]

_PARQUET = ".parquet"
_SUFFIXES = (".jsonl", ".jsonl.gz")
_METRICS = "metrics_recorded"
_DECLARED, _CONCLUDED = "experiment_declared", "experiment_concluded"

_FIELDS = {field.name for field in fields(FoundExperiment)} - {"name", "source"}

_Object = dict[str, Any]


class PodiumImporter:
    """Imports exports: experiments, their arms with all rows, and their conclusions."""

    kind = "podium"
    summary = "files of `podium export`: .jsonl, .jsonl.gz and .parquet"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file if its first line is like the first line of an export."""
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
        """Yields the experiments and arms of an export. Each arm has its training series."""
        items = enumerate(read_items(path), 1) if path.suffix == _PARQUET else json_lines(path)
        arm: FoundArm | None = None
        for number, item in items:
            source = f"{path}:{number}"
            try:
                if isinstance(item, ValueError):
                    raise item
                if arm is not None and _add_points(arm, item):
                    continue
                found = _found(item, source)
            except ValueError as error:
                found = NotImported(source, str(error))
            if arm is not None:
                yield arm
            arm = found if isinstance(found, FoundArm) else None
            if arm is None:
                yield found
        if arm is not None:
            yield arm


def _add_points(arm: FoundArm, item: _Object) -> bool:
    """Adds the points of a line to an arm's series. Returns False if they are not of this arm."""
    if item.get("event") != _METRICS or item.get("arm") != arm.arm.name:
        return False
    recorded = event_from_json(item).metrics_recorded
    for key in sorted(recorded.metrics) if recorded.HasField("step") else ():
        series = arm.series.setdefault(key, Series(key))
        series.steps.append(recorded.step)
        series.values.append(recorded.metrics[key])
    return True


def _is_item(item: _Object) -> bool:
    kind = item.get("event")
    return "experiment" in item and (kind in {_DECLARED, _CONCLUDED} or "run_config" in item)


def _found(item: _Object, source: str) -> Found:
    if not _is_item(item):
        raise ValueError("not a line of `podium export`: expected an experiment or an arm")
    name = str(item["experiment"])
    if "event" not in item:
        return FoundArm(name, json_form.arm_from_json(item), source, run_may_change=True)
    values = {key: value for key, value in item.items() if key not in {"event", "experiment"}}
    unknown = values.keys() - _FIELDS
    if unknown:
        raise ValueError(f"{item['event']}: unknown field: {', '.join(sorted(unknown))}")
    read = json_form.record_from_json(Experiment, {**values, "name": name}, item["event"])
    return FoundExperiment(name, source, **{field: getattr(read, field) for field in values})
