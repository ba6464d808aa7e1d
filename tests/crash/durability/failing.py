"""A server whose disk fails on request.

    python tests/crash/durability/failing.py FOLDER --listen 127.0.0.1:0 --store URL

While the folder has a file `full`, each write fails because the disk is full. While it has a file
`broken`, each sync fails.
"""

import sys
from pathlib import Path

import apsw
from podium_server.serve.command import main

__all__ = ["FailingVfs"]


class _FailingFile(apsw.VFSFile):
    """A file on the failing disk."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], folder: Path) -> None:
        self._folder = folder
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Writes bytes. Raises an error while the disk is full."""
        if (self._folder / "full").exists():
            raise apsw.FullError("no room")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Syncs the file. Raises an error while the disk is broken."""
        if (self._folder / "broken").exists():
            raise apsw.IOError("the disk is broken")
        super().xSync(flags)


class FailingVfs(apsw.VFS):
    """Opens all files on the failing disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__("podium-failing", "unix", makedefault=True)

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        """Opens a file."""
        return _FailingFile(name, flags, self._folder)


if __name__ == "__main__":
    _VFS = FailingVfs(Path(sys.argv.pop(1)))
    sys.exit(main())
