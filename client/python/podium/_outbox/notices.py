"""Stores notices: messages of the sender that the recorder of a stream logs as warnings.

The file `notices.jsonl` in the stream's folder has one notice, a JSON string, in each line. It is
not synced, so a power cut may lose notices.
"""

import json
import os
from pathlib import Path

from podium._outbox.files import open_new

__all__ = ["append_notice", "read_notices"]

_FILE = "notices.jsonl"


def append_notice(folder: Path, text: str) -> None:
    """Stores a notice for the recorder of a stream.

    Raises:
        OSError: The notice could not be written.
    """
    path, flags = folder / _FILE, os.O_WRONLY | os.O_APPEND
    try:
        descriptor = open_new(path, flags)
    except FileExistsError:
        descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(text) + "\n")


def read_notices(folder: Path, after: int = 0) -> list[str]:
    """Returns the notices of a stream without the first `after` ones.

    Leaves out an incomplete last line. Returns no notices if the file cannot be read.
    """
    try:
        lines = (folder / _FILE).read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
    return [str(json.loads(line)) for line in lines[after:]]
