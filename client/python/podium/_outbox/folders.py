"""The folders of outboxes, and the files that describe them.

An outbox has the events that the processes of one machine record for one server. The root folder of
all outboxes contains:

    HOST/SERVER/outbox.json            the address of the server
    HOST/SERVER/WRITER_ID/stream.json  the experiment, arm and process of one stream
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from podium._outbox.errors import DamagedError, UnknownFormatError
from podium._outbox.files import own_folder, read_json, sync_file, write_json

__all__ = [
    "StreamInfo",
    "default_root",
    "is_own",
    "new_writer_id",
    "outbox_address",
    "outbox_folder",
    "outboxes",
    "streams",
    "sweep",
    "temporary_root",
]

_FORMAT = 1
"""The version of the format of all files in these folders."""
_STREAM_FILE = "stream.json"
_OUTBOX_FILE = "outbox.json"
_READABLE = 40
_LEFT_SECONDS = 3600
"""The age in seconds after which a hidden folder counts as left behind by a killed process."""


@dataclass(frozen=True)
class StreamInfo:
    """Describes a stream: its experiment, arm and attempt, and the process that writes it."""

    experiment: str
    arm: str | None
    """The arm of the stream. None for a stream with the events of the experiment itself."""
    writer_id: str
    """The id of the stream on the server, and the name of its folder. See `new_writer_id`."""
    attempt_id: str | None = None
    attempt_order: int | None = None
    pid: int = 0
    host: str = ""
    create_time: float = 0.0
    """The time at which the stream was created, in seconds since 1970."""
    follows: str | None = None
    """The writer_id of the process's previous stream of the same arm, which is delivered first."""
    starts_after: str | None = None
    """The writer_id of the stream whose first event is delivered before this stream.

    So arms are created in the order in which the process started them.
    """
    is_main: bool = True
    """Whether this process records the end of the arm. Forked children and other ranks do not."""
    is_whole_arm: bool = False
    """Whether all events of the stream belong to one arm that `record_arm` recorded.

    The first event records the arm. The others are rows for which that event had no room.
    """
    lock_inode: int = 0
    """The inode of the lock file. In a copy of the folder, the lock file has another inode."""

    @staticmethod
    def read(folder: Path) -> StreamInfo:
        """Returns the description in the folder of a stream.

        Raises:
            DamagedError: The description is unreadable or incomplete.
            OSError: The folder has no description.
        """
        content = _read(folder / _STREAM_FILE)
        names = {item.name for item in fields(StreamInfo)}
        try:
            return StreamInfo(**{name: content[name] for name in names & content.keys()})
        except TypeError as error:
            raise DamagedError(f"{folder / _STREAM_FILE} is incomplete: {error}") from None

    def write(self, folder: Path) -> None:
        """Writes this description to the folder of a stream."""
        write_json(folder / _STREAM_FILE, {"format": _FORMAT, **asdict(self)})

    def sync(self, folder: Path) -> None:
        """Syncs the description, so that it survives a power cut."""
        sync_file(folder / _STREAM_FILE)


def new_writer_id() -> str:
    """Returns a unique writer_id.

    A writer_id sorts after all writer_ids that were made in earlier seconds.
    """
    now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return f"{now}-{os.getpid()}-{secrets.token_hex(8)}"


def default_root() -> Path:
    """Returns the root folder of all outboxes.

    The folder is $PODIUM_OUTBOX. If this variable is not set, the folder is `podium/outbox` in
    $XDG_STATE_HOME, which is `~/.local/state` by default.

    Raises:
        FileNotFoundError: The user has no home folder.
    """
    # A variable from a file may end with a newline.
    chosen = os.environ.get("PODIUM_OUTBOX", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state else _home() / ".local" / "state"
    return base / "podium" / "outbox"


def temporary_root() -> Path:
    """Makes and returns the root folder to use if the configured one cannot be written to.

    The folder is in the temporary folder of the machine. Only the current user can access it.

    Raises:
        PermissionError: The folder belongs to another user.
        OSError: The folder cannot be made.
    """
    root = Path(tempfile.gettempdir()) / f"podium-{os.geteuid()}"
    if root.is_symlink():
        raise PermissionError(f"{root} is a symbolic link: set PODIUM_OUTBOX to a folder")
    own_folder(root)
    return root


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise FileNotFoundError(
            "this user has no home directory: set PODIUM_OUTBOX to a folder of your own"
        ) from None


def outbox_folder(root: Path, address: str) -> Path:
    """Returns the folder of this machine's outbox for a server. Makes it if it does not exist.

    Raises:
        UnknownFormatError: Another version of podium made the outbox.
        OSError: The outbox cannot be made, or belongs to another user.
    """
    root = root.absolute()
    folder = root / _slug(os.uname().nodename) / _server_name(address)
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        own_folder(root)
    for each in (folder.parent, folder):
        own_folder(each)
    if not _says_address(folder):
        write_json(folder / _OUTBOX_FILE, {"format": _FORMAT, "address": address})
        for each in (folder / _OUTBOX_FILE, folder, folder.parent, root):
            sync_file(each)
    return folder


def is_own(outbox: Path) -> bool:
    """Returns whether an outbox belongs to this machine: its parent folder has the host's name."""
    return outbox.absolute().parent.name == _slug(os.uname().nodename)


def _says_address(outbox: Path) -> bool:
    try:
        return bool(outbox_address(outbox))
    except UnknownFormatError:
        raise
    except (DamagedError, FileNotFoundError):
        return False


def outbox_address(outbox: Path) -> str:
    """Returns the address of the server of an outbox.

    Raises:
        DamagedError: The file with the address is unreadable.
        OSError: The file does not exist.
    """
    return str(_read(outbox / _OUTBOX_FILE)["address"])


def outboxes(root: Path) -> list[Path]:
    """Returns the outboxes under a root folder or the folder of one host, sorted by path.

    If `root` is itself an outbox, returns only it.
    """
    if (root / _OUTBOX_FILE).exists():
        return [root]
    return sorted(found.parent for found in root.glob(f"*/{_OUTBOX_FILE}")) or sorted(
        found.parent for found in root.glob(f"*/*/{_OUTBOX_FILE}")
    )


def streams(outbox: Path) -> list[Path]:
    """Returns the folders of the streams of an outbox, in the order of their creation."""
    with os.scandir(outbox) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
        )


def sweep(outbox: Path) -> None:
    """Deletes hidden folders that a killed process has left behind.

    A stream has a hidden folder while it is made or deleted. The folder is deleted if it has not
    changed for an hour. Only the sender may call this function.
    """
    with os.scandir(outbox) as entries:
        hidden = [entry for entry in entries if entry.name.startswith(".") and entry.is_dir()]
    for entry in hidden:
        if entry.stat().st_mtime < time.time() - _LEFT_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if content.get("format") != _FORMAT:
        text = (
            f"{path} has format {content.get('format')}, but this version of podium reads {_FORMAT}"
        )
        raise UnknownFormatError(text)
    return content


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text)[:_READABLE].strip(".-") or "host"


def _server_name(address: str) -> str:
    return f"{_slug(address)}-{sha256(address.encode()).hexdigest()[:8]}"
