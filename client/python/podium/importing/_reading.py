"""Finding results in a tree of files, and reading them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from podium.importing._found import FoundArm, FoundExperiment, Left
from podium.importing._registry import broken_importers, importers
from podium.importing._unread import Refused, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from podium.importing._found import Found, Importer

__all__ = ["Place", "places", "read", "read_results"]


_UNREAD = Unread()


class Place(NamedTuple):
    """A file or folder, and who reads it."""

    importer: Importer
    path: Path


def read_results(path: str | os.PathLike[str], *, kind: str | None = None) -> Iterator[Found]:
    """Reads every result under a path, without recording any.

    Args:
        path: A file or folder.
        kind: The kind of everything there; found out if not given.

    Raises:
        ValueError: There is nothing at the path, or no such kind.
    """
    for place in places(Path(path), kind=kind):
        yield from read(place)


def read(place: Place) -> Iterator[Found]:
    """Reads one place; what cannot be read at all is told, too."""
    try:
        for found in place.importer.read(place.path):
            if not isinstance(found, FoundArm | FoundExperiment | Left):
                raise TypeError(f"it yielded {type(found).__name__}")  # noqa: TRY301 - as others
            yield found
    except Exception as error:  # noqa: BLE001 - files, and importers of others, hold anything
        yield Left(_source(error, place), _text(error, place.importer.kind))


def _source(error: Exception, place: Place) -> str:
    named = error.filename if isinstance(error, OSError) else None
    return os.fsdecode(named) if isinstance(named, str | bytes) else str(place.path)


def _text(error: Exception, kind: str) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if type(error) is ValueError or isinstance(error, OverflowError):
        return str(error)
    if isinstance(error, RecursionError):
        return "nested too deep"
    return f"not as {kind} writes it ({type(error).__name__}: {error})"


def places(path: Path, *, kind: str | None = None) -> list[Place]:
    """Finds what is to be read under a path, in the order of names."""
    if not path.exists():
        raise ValueError(f"there is no {path}")
    known = _chosen(kind)
    found = list(_search(path, known))
    if not found and kind is not None:
        return [Place(known[kind], path)]
    return found


def _chosen(kind: str | None) -> Mapping[str, Importer]:
    known = importers()
    if kind is None:
        return known
    broken = broken_importers().get(kind)
    if broken is not None and kind not in known:
        raise ValueError(f"kind {kind!r} cannot be loaded from {broken.place}: {broken.why}")
    if kind not in known:
        raise ValueError(f"kind {kind!r} is not known; give one of {', '.join(sorted(known))}")
    return {kind: known[kind]}


def _search(path: Path, known: Mapping[str, Importer]) -> Iterator[Place]:
    """Goes through a tree; what an importer claimed is not offered to another one."""
    pending, taken, entered = [path], set[Path](), {path.resolve()}
    while pending:
        here = pending.pop()
        if here in taken:
            continue
        for importer in (*known.values(), _UNREAD):
            try:
                claimed = set(importer.claims(here)) - taken
            except Exception as error:  # noqa: BLE001 - as in `read`
                yield Place(Refused(_text(error, importer.kind)), here)
                continue
            if claimed:
                taken |= claimed
                yield Place(importer, here)
        if here not in taken and (here == path or _may_enter(here, entered)):
            try:
                pending.extend(reversed(sorted(here.iterdir()) if here.is_dir() else []))
            except OSError as error:
                yield Place(Refused(_text(error, "")), here)


def _may_enter(here: Path, entered: set[Path]) -> bool:
    """Whether to look into a folder: a link may lead to where the search has been or will come."""
    try:
        if not here.is_symlink():
            return True
        target = here.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return False
    if any(target.is_relative_to(one) or one.is_relative_to(target) for one in entered):
        return False
    entered.add(target)
    return True
