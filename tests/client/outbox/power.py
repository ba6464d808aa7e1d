"""A model of a disk that loses power.

After a power cut, a file has the content of its last sync. A folder has the names that it had at
its last sync.
"""

import os
import stat
from pathlib import Path

import pytest
from podium._outbox import segments

__all__ = ["Disk"]


class Disk:
    """Keeps what this process has synced, and can write what a power cut would leave.

    POSIX promises no more than this: content that was not synced may be lost. So may a new name in
    a folder that was not synced.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._files: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._are_folders: set[int] = set()
        monkeypatch.setattr(os, "fsync", self._sync)
        monkeypatch.setattr(segments, "_fdatasync", self._sync)

    def _sync(self, descriptor: int) -> None:
        status, place = os.fstat(descriptor), Path(f"/proc/self/fd/{descriptor}")
        if not stat.S_ISDIR(status.st_mode):
            self._files[status.st_ino] = place.read_bytes()
            return
        with os.scandir(place.readlink()) as entries:
            found = list(entries)
        self._names[status.st_ino] = {entry.name: entry.inode() for entry in found}
        self._are_folders |= {entry.inode() for entry in found if entry.is_dir()}

    def cut(self, folder: Path, copy: Path) -> Path:
        """Writes what a power cut would leave of `folder` to the new folder `copy`.

        Returns `copy`.
        """
        self._restore(folder.stat().st_ino, copy)
        return copy

    def _restore(self, inode: int, copy: Path) -> None:
        copy.mkdir()
        for name, entry in self._names.get(inode, {}).items():
            if entry in self._are_folders:
                self._restore(entry, copy / name)
            else:
                (copy / name).write_bytes(self._files.get(entry, b""))
