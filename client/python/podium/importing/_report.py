"""The report of an import."""

from collections import Counter
from dataclasses import dataclass, field

from podium.importing._found import Note, NotImported

__all__ = ["ArmCount", "ImportReport"]


@dataclass(slots=True)
class ArmCount:
    """Counts the imported arms and eval rows of one experiment.

    Attributes:
        kind: The kind of the file from which the first arm was read.
        recorded: The number of arms that are new or have changed.
        changed: The names of the recorded arms that existed before, with other results.
        unchanged: The number of arms that were already recorded with the same results.
        evals: The number of eval rows of all these arms.
    """

    kind: str
    recorded: int = 0
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    evals: int = 0


@dataclass(slots=True)
class ImportReport:
    """The outcome of an import.

    Attributes:
        experiments: The counts of each experiment: recorded arms, unchanged arms and eval rows, and
            the names of the recorded arms that existed before, with other results.
        not_imported: The data that was not imported, with reasons.
        notes: Remarks about data that was imported.
        other_files: The number of files that no importer reads, by suffix, such as `.py`. Files
            without a suffix are counted by name.
    """

    experiments: dict[str, ArmCount] = field(default_factory=dict)
    not_imported: list[NotImported] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    other_files: Counter[str] = field(default_factory=Counter)

    @property
    def recorded(self) -> int:
        """Returns the number of arms that are new or have changed."""
        return sum(count.recorded for count in self.experiments.values())

    @property
    def changed(self) -> int:
        """Returns the number of recorded arms that existed before, with other results."""
        return sum(len(count.changed) for count in self.experiments.values())

    @property
    def unchanged(self) -> int:
        """Returns the number of arms that were already recorded with the same results."""
        return sum(count.unchanged for count in self.experiments.values())
