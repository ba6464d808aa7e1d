"""Reports files of known formats that no importer reads."""

from collections.abc import Collection, Iterator
from pathlib import Path

from podium.importing._found import Found, NotImported

__all__ = ["Unreadable", "Unsupported"]

_TENSORBOARD = (
    "TensorBoard event files are not supported, because they do not mark which scalars are evals; "
    "write an importer of your own (see the documentation on importing)"
)


class Unsupported:
    """Reports files of formats that no importer reads."""

    kind = "unread"
    summary = "files of unsupported formats"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file if its format is recognized but not supported."""
        return [path] if path.is_file() and _why(path) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Yields the reason why the file is not read."""
        yield NotImported(str(path), _why(path))


class Unreadable:
    """Reports a file or folder that cannot be opened."""

    kind = "unread"
    summary = "files and folders that cannot be opened"

    def __init__(self, why: str) -> None:
        self._why = why

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the given path: every unreadable path is reported."""
        return [path]

    def read(self, path: Path) -> Iterator[Found]:
        """Yields one report that gives the error text of the path."""
        yield NotImported(str(path), self._why)


def _why(path: Path) -> str:
    return _TENSORBOARD if ".tfevents." in path.name else ""
