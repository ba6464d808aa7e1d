"""A server whose disk fails when it is told to.

    python tests/crash/durability/failing.py FOLDER --listen 127.0.0.1:0 --store URL

As long as there is a file `full` in the folder, nothing more fits on the disk; with a file
`broken`, no sync succeeds.
"""

import sys
from pathlib import Path

import apsw
from podium_server.serve.command import main

__all__ = ["FailingVfs"]


class _FailingFile(apsw.VFSFile):
    """A file on that disk."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], folder: Path) -> None:
        self._folder = folder
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Writes, if there is room."""
        if (self._folder / "full").exists():
            raise apsw.FullError("no room")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Syncs, unless the disk is broken."""
        if (self._folder / "broken").exists():
            raise apsw.IOError("the disk is broken")
        super().xSync(flags)


class FailingVfs(apsw.VFS):
    """All files are on that disk."""

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
