"""The importers that there are: Podium's own, and those of entry points."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from podium.importing.kinds.evsys import EvsysImporter
from podium.importing.kinds.hf_trainer import HfTrainerImporter
from podium.importing.kinds.inspect_ai import InspectImporter
from podium.importing.kinds.lm_eval import LmEvalImporter
from podium.importing.kinds.mlflow import MlflowImporter
from podium.importing.kinds.podium_export import PodiumImporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from podium.importing._found import Importer

__all__ = ["GROUP", "importers"]

GROUP = "podium.importers"
"""The group of entry points; each names a class without parameters."""

_OWN: tuple[type[Importer], ...] = (
    EvsysImporter,
    HfTrainerImporter,
    InspectImporter,
    LmEvalImporter,
    MlflowImporter,
    PodiumImporter,
)


@cache
def importers() -> Mapping[str, Importer]:
    """Returns the importers by kind. One of an entry point takes the place of Podium's own."""
    known = {made.kind: made for made in (own() for own in _OWN)}
    for entry in metadata.entry_points(group=GROUP):
        made = entry.load()()
        known[made.kind] = made
    return known
