"""Files of the evsys SDK: local stores, logs of experiments, and folders of runs."""

from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType

from podium.importing._found import Found
from podium.importing.kinds.evsys import _logs, _runs, _store

__all__ = ["EvsysImporter"]

_SHAPES: tuple[ModuleType, ...] = (_store, _logs, _runs)


class EvsysImporter:
    """Imports local stores, log folders of experiments, and folders of runs."""

    kind = "evsys"
    summary = "local stores, experiment logs and run folders of the evsys SDK"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the folder if it is a local store, the logs of an experiment, or a run."""
        return [path] if any(shape.is_one(path) for shape in _SHAPES) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the items of a local store, of the logs of an experiment, or of a run."""
        for shape in _SHAPES:
            if shape.is_one(path):
                yield from shape.read(path)
                return
        expected = "a local store, the logs of an experiment, or a run"
        raise ValueError(f"not a folder of the evsys SDK: expected {expected}")
