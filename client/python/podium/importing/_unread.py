"""Reports files and folders that cannot be opened."""

from collections.abc import Collection, Iterator
from pathlib import Path

from podium.importing._found import Found, NotImported

__all__ = ["Unreadable"]


class Unreadable:
    """Reports a file or folder that cannot be opened."""

    kind = "unread"
    summary = "files and folders that cannot be opened"

    def __init__(self, why: str) -> None:
        self._why = why

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the path, because this importer reports every path that is given to it."""
        return [path]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields one item, with the error of opening the path."""
        yield NotImported(str(path), self._why)
