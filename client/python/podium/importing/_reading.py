"""Finding results in a tree of files, and reading them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from podium.importing._found import Left
from podium.importing._registry import importers
from podium.importing._unread import Unread

if TYPE_CHECKING:
    import os
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
        yield from place.importer.read(place.path)
    except OSError as error:
        yield Left(str(error.filename or place.path), error.strerror or str(error))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # Files of other tools hold anything: whatever a reader stumbles on is the file's.
        yield Left(str(place.path), _text(error, place.importer.kind))


def _text(error: Exception, kind: str) -> str:
    if type(error) is ValueError or isinstance(error, OverflowError):
        return str(error)
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
    if kind not in known:
        raise ValueError(f"kind {kind!r} is not known; give one of {', '.join(sorted(known))}")
    return {kind: known[kind]}


def _search(path: Path, known: Mapping[str, Importer]) -> Iterator[Place]:
    """Goes through a tree; what an importer claimed is not offered to another one."""
    pending, taken = [path], set[Path]()
    while pending:
        here = pending.pop()
        if here in taken:
            continue
        for importer in (*known.values(), _UNREAD):
            claimed = set(importer.claims(here)) - taken
            if claimed:
                taken |= claimed
                yield Place(importer, here)
        if here not in taken and here.is_dir() and (here == path or not here.is_symlink()):
            pending.extend(reversed(_inside(here)))


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        return []
