"""Optuna studies in SQLite files and journal files. A study is an experiment; a trial is an arm."""

from collections.abc import Collection, Iterator
from pathlib import Path

from podium.importing._found import Found
from podium.importing.kinds.optuna import _journal, _sqlite, _study
from podium.importing.kinds.optuna._study import Study, Trial, arm_of, experiment_of

__all__ = ["OptunaImporter", "Study", "Trial", "arm_of", "experiment_of"]


class OptunaImporter:
    """Imports the studies of a SQLite file or a journal file."""

    kind = "optuna"
    summary = "studies of Optuna (SQLite or journal files)"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file if it is a SQLite file with Optuna's tables, or an Optuna journal."""
        return [path] if path.is_file() and (_sqlite.is_one(path) or _journal.is_one(path)) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Yields each study, then its trials."""
        if _sqlite.is_one(path):
            studies = yield from _sqlite.read(path)
        elif _journal.is_one(path):
            studies = yield from _journal.read(path)
        else:
            raise ValueError("not a file of Optuna: expected SQLite or a journal")
        for study in studies:
            yield from _study.found(study, str(path))
