"""Stores what the sender has to tell the user of a stream, in the file `notices.jsonl`.

Each line is a text as JSON. The recorder logs the texts as warnings. The file is not synced.
"""

import json
import os
from pathlib import Path

from podium._outbox.files import open_new

__all__ = ["append_notice", "read_notices"]

_FILE = "notices.jsonl"


def append_notice(folder: Path, text: str) -> None:
    """Stores a text.

    Raises:
        OSError: The text could not be written.
    """
    path, flags = folder / _FILE, os.O_WRONLY | os.O_APPEND
    try:
        descriptor = open_new(path, flags)
    except FileExistsError:
        descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(text) + "\n")


def read_notices(folder: Path, after: int = 0) -> list[str]:
    """Returns the texts of a stream, without the first `after` ones and without incomplete ones."""
    try:
        lines = (folder / _FILE).read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
    return [str(json.loads(line)) for line in lines[after:]]
