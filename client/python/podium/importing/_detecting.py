"""Finds results in a tree of files and reads them."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from podium.importing._found import Found, FoundArm, FoundExperiment, Importer, NotImported
from podium.importing._registry import broken_importers, importers
from podium.importing._tables import is_table
from podium.importing._values import reading_in
from podium.importing.kinds.table import ColumnMapping, CsvImporter

__all__ = ["GivenMapping", "Place", "places", "read", "read_results"]

GivenMapping: TypeAlias = Mapping[str, str | Sequence[str]]
"""The column or columns for each field, such as `{"arm": "model", "metric": ["acc", "f1"]}`."""

_ITEMS = "a FoundArm, FoundExperiment or NotImported"


class Place(NamedTuple):
    """A file or folder, and the importer that reads it."""

    importer: Importer
    path: Path


def read_results(
    path: str | os.PathLike[str], *, kind: str | None = None, mapping: GivenMapping | None = None
) -> Iterator[Found]:
    """Yields the experiments and arms under a path.

    Yields a `NotImported` for each part that cannot be read. Records nothing.

    Args:
        path: A file or folder.
        kind: The kind of all files, such as `wandb`; detected if not given.
        mapping: For the kind `csv`, the column or columns for each field, such as
            `{"arm": "model", "metric": ["acc", "f1"]}`.

    Raises:
        ValueError: The path does not exist, the kind is not known, or the mapping is not valid.
    """
    for place in places(Path(path), kind=kind, mapping=mapping):
        yield from read(place)


def read(place: Place) -> Iterator[Found]:
    """Yields the items that an importer reads at a place. An error is yielded as a NotImported."""
    folder = place.path.resolve().parent
    try:
        found_items = iter(place.importer.read(place.path))
        while True:
            with reading_in(folder):
                found = next(found_items, None)
            if found is None:
                return
            if not isinstance(found, FoundArm | FoundExperiment | NotImported):
                why = f"the importer yielded a {type(found).__name__}, not {_ITEMS}"
                raise TypeError(why)  # noqa: TRY301 - handled like other errors
            yield found
    except Exception as error:  # noqa: BLE001 - foreign files and importers may raise anything
        yield NotImported(_source(error, place), _reason(error, place.importer.kind))


def _source(error: Exception, place: Place) -> str:
    name = error.filename if isinstance(error, OSError) else None
    return os.fsdecode(name) if isinstance(name, str | bytes) else str(place.path)


def _reason(error: Exception, kind: str) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if type(error) is ValueError or isinstance(error, OverflowError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the data is nested too deeply"
    return f"not in the format of {kind} ({type(error).__name__}: {error})"


def places(
    path: Path,
    *,
    kind: str | None = None,
    mapping: GivenMapping | None = None,
    on_other_file: Callable[[Path], None] = lambda _path: None,
) -> list[Place]:
    """Returns the files and folders under a path that importers can read.

    Calls `on_other_file` for each other file.

    Raises:
        ValueError: The path does not exist, the kind is not known, or the mapping is not valid.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if mapping is None:
        known = _chosen_importers(kind)
    elif kind in (None, CsvImporter.kind):
        kind = CsvImporter.kind
        known = {kind: CsvImporter(ColumnMapping.of(mapping))}
    else:
        raise ValueError(f"kind {kind!r} takes no mapping of columns; only {CsvImporter.kind} does")
    others: list[Path] = []
    found = list(_search(path, known, others.append))
    if not found and kind is not None:
        return [Place(known[kind], path)]
    if not found and path.is_file() and is_table(path):
        return [Place(CsvImporter(), path)]  # reading it reports that a mapping is needed
    for file in others:
        on_other_file(file)
    return found


def _chosen_importers(kind: str | None) -> Mapping[str, Importer]:
    known = importers()
    if kind is None:
        return known
    broken = broken_importers().get(kind)
    if broken is not None and kind not in known:
        raise ValueError(f"kind {kind!r} cannot be loaded from {broken.place}: {broken.why}")
    if kind not in known:
        raise ValueError(f"kind {kind!r} is unknown; give one of {', '.join(sorted(known))}")
    return {kind: known[kind]}


def _search(
    path: Path, known: Mapping[str, Importer], on_other_file: Callable[[Path], None]
) -> Iterator[Place]:
    """Yields the places in a tree of files. Only the first importer that claims a path reads it."""
    pending, taken, entered = [path], set[Path](), {path.resolve()}
    while pending:
        here = pending.pop()
        if here in taken or not (here == path or _may_enter(here, entered)):
            continue
        for importer in known.values():
            try:
                claimed = set(importer.claims(here)) - taken
            except Exception as error:  # noqa: BLE001 - as in `read`
                yield Place(_Unreadable(_reason(error, importer.kind)), here)
                continue
            if claimed:
                taken |= claimed
                yield Place(importer, here)
        if here in taken:
            continue
        try:
            if here.is_dir():
                pending.extend(sorted(here.iterdir(), reverse=True))
            else:
                on_other_file(here)
        except OSError as error:
            yield Place(_Unreadable(_reason(error, "")), here)


class _Unreadable:
    """An importer that only reports why a file or folder cannot be opened."""

    kind = summary = "unread"

    def __init__(self, why: str) -> None:
        self._why = why

    def claims(self, path: Path) -> Collection[Path]:
        return [path]

    def read(self, path: Path) -> Iterator[Found]:
        yield NotImported(str(path), self._why)


def _may_enter(here: Path, entered: set[Path]) -> bool:
    """Returns whether to search a path.

    A link to a folder is not searched if it cannot be resolved. Nor is it searched if the folder is
    the same as, inside or above a folder that the search has entered already.
    """
    try:
        if not (here.is_symlink() and here.is_dir()):
            return True
        target = here.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return False
    if any(target.is_relative_to(one) or one.is_relative_to(target) for one in entered):
        return False
    entered.add(target)
    return True
