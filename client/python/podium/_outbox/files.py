"""Makes files and folders that only the current user can access, and JSON files with checksums."""

import json
import os
import secrets
from pathlib import Path
from typing import Any
from zlib import crc32

from podium._outbox.errors import DamagedError

__all__ = ["make_folder", "open_new", "own_folder", "read_json", "sync_file", "write_json"]

_OURS_ONLY = 0o600
_FOLDER = 0o700
_CHECK = "crc32"


def make_folder(folder: Path) -> None:
    """Makes a folder that only the current user can access, independent of the umask.

    Raises:
        OSError: The folder cannot be made, or exists already.
    """
    folder.mkdir(_FOLDER)
    folder.chmod(_FOLDER)


def own_folder(folder: Path) -> None:
    """Makes a folder that only the current user can access. If it exists, restricts its access.

    Raises:
        PermissionError: The folder belongs to another user.
        OSError: The folder cannot be made.
    """
    try:
        make_folder(folder)
    except FileExistsError:
        if folder.stat().st_uid != os.geteuid():
            text = f"{folder} belongs to another user: set PODIUM_OUTBOX to a folder of your own"
            raise PermissionError(text) from None
        folder.chmod(_FOLDER)


def open_new(path: Path, flags: int = os.O_RDWR) -> int:
    """Creates a file that only the current user can access, and returns its descriptor."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _OURS_ONLY)
    os.fchmod(descriptor, _OURS_ONLY)
    return descriptor


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file atomically: readers find either the old or the new content."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    text = json.dumps(content | {_CHECK: _check(content)}, indent=1) + "\n"
    with os.fdopen(open_new(temporary), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Returns the content of a file that `write_json` has written.

    Raises:
        DamagedError: The file was changed or cut off.
        OSError: The file does not exist, or cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
        check = content.pop(_CHECK)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from None
    if check != _check(content):
        text = f'{path} is damaged: its checksum "{_CHECK}" is {check}, but must be '
        raise DamagedError(text + str(_check(content)))
    return dict(content)


def _check(content: dict[str, Any]) -> int:
    return crc32(json.dumps(content, sort_keys=True).encode())


def sync_file(path: Path) -> None:
    """Syncs the content of a file, or the entries of a folder, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
