"""Registers importers: Podium's own importers, and the importers of entry points."""

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import NamedTuple

from podium.importing._found import Importer
from podium.importing.kinds.evsys import EvsysImporter
from podium.importing.kinds.hf_trainer import HfTrainerImporter
from podium.importing.kinds.inspect_ai import InspectImporter
from podium.importing.kinds.lightning import LightningImporter
from podium.importing.kinds.lm_eval import LmEvalImporter
from podium.importing.kinds.mlflow import MlflowImporter
from podium.importing.kinds.optuna import OptunaImporter
from podium.importing.kinds.podium_export import PodiumImporter
from podium.importing.kinds.table import CsvImporter
from podium.importing.kinds.tensorboard import TensorboardImporter
from podium.importing.kinds.wandb import WandbImporter

__all__ = ["GROUP", "Broken", "broken_importers", "importers"]

GROUP = "podium.importers"
"""The group of entry points for importers: classes whose constructors take no arguments."""

_OWN: tuple[type[Importer], ...] = (
    CsvImporter,
    EvsysImporter,
    HfTrainerImporter,
    InspectImporter,
    LightningImporter,
    LmEvalImporter,
    MlflowImporter,
    OptunaImporter,
    PodiumImporter,
    TensorboardImporter,
    WandbImporter,
)
_PARTS = ("kind", "summary", "claims", "read")


class Broken(NamedTuple):
    """An importer that an entry point names and that cannot be loaded."""

    place: str
    """The object that the entry point names, and its package."""
    why: str


class _All(NamedTuple):
    known: dict[str, Importer]
    broken: dict[str, Broken]


def importers() -> Mapping[str, Importer]:
    """Returns the importers by kind. An entry point replaces Podium's importer of the same kind."""
    return _all().known


def broken_importers() -> Mapping[str, Broken]:
    """Returns the importers that cannot be loaded, by the names of their entry points."""
    return _all().broken


@cache
def _all() -> _All:
    found = _All({made.kind: made for made in (own() for own in _OWN)}, {})
    for entry in metadata.entry_points(group=GROUP):
        try:
            made = _load(entry)
        except Exception as error:  # noqa: BLE001 - a broken package must not stop the others
            place = f"{entry.value}{f' of {entry.dist.name}' if entry.dist else ''}"
            found.broken[entry.name] = Broken(place, f"{type(error).__name__}: {error}")
        else:
            found.known[made.kind] = made
    return found


def _load(entry: metadata.EntryPoint) -> Importer:
    made: Importer = entry.load()()
    missing = [part for part in _PARTS if not hasattr(made, part)]
    if missing:
        raise TypeError(f"the class lacks {missing[0]}; an importer has {', '.join(_PARTS)}")
    return made
