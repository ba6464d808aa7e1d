"""Files of results that are known, and that no importer reads: they are told, not passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.importing._found import Left

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from podium.importing._found import Found

__all__ = ["Refused", "Unread"]

_TENSORBOARD = (
    "an event file of TensorBoard, which Podium does not read: it has scalars without saying which "
    "of them are evals; an importer of your own can (see the documents on importing)"
)
_WANDB = (
    "a run of Weights & Biases, which Podium does not read; export its history and summary with "
    "their API, and record them with `podium record`"
)


class Unread:
    """Tells of files that nobody reads."""

    kind = "unread"
    summary = "files that are known, and not read"

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the file, if it is one of these."""
        return [path] if path.is_file() and _why(path) else []

    def read(self, path: Path) -> Iterator[Found]:
        """Says why it is not read."""
        yield Left(str(path), _why(path))


class Refused:
    """Tells of a file or folder that could not even be looked at."""

    kind = "unread"
    summary = "what cannot be looked at"

    def __init__(self, why: str) -> None:
        self._why = why

    def claims(self, path: Path) -> Collection[Path]:
        """Returns the path."""
        return [path]

    def read(self, path: Path) -> Iterator[Found]:
        """Says what was wrong with it."""
        yield Left(str(path), self._why)


def _why(path: Path) -> str:
    if ".tfevents." in path.name:
        return _TENSORBOARD
    return _WANDB if path.suffix == ".wandb" else ""
