"""Bringing in results that already lie on disk, in the files of other tools.

    with podium.Client() as client:
        report = import_results(client, "results/")

Each kind of file has an importer. One for a kind of your own is a class with the methods of
`Importer`, named in an entry point of the group `podium.importers`.
"""

from podium.importing._found import Found, FoundArm, FoundExperiment, Importer, Left
from podium.importing._reading import read_results
from podium.importing._recording import ImportReport, import_results
from podium.importing._registry import broken_importers, importers

__all__ = [
    "Found",
    "FoundArm",
    "FoundExperiment",
    "ImportReport",
    "Importer",
    "Left",
    "broken_importers",
    "import_results",
    "importers",
    "read_results",
]
