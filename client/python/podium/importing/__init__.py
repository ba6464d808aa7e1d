"""Imports results that other tools left on disk.

    with podium.Client() as client:
        report = import_results(client, "results/")

Each kind of file has an importer. To add a kind, write a class with the methods of `Importer` and
name it in an entry point of the group `podium.importers`.
"""

from podium.importing._detecting import read_results
from podium.importing._found import (
    Evaluation,
    Found,
    FoundArm,
    FoundExperiment,
    Importer,
    Note,
    NotImported,
)
from podium.importing._recording import import_results
from podium.importing._registry import broken_importers, importers
from podium.importing._report import ImportReport
from podium.importing.kinds.table import mapping_from_texts

__all__ = [
    "Evaluation",
    "Found",
    "FoundArm",
    "FoundExperiment",
    "ImportReport",
    "Importer",
    "NotImported",
    "Note",
    "broken_importers",
    "import_results",
    "importers",
    "mapping_from_texts",
    "read_results",
]
