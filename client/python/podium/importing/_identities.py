"""Names arms by their folders, and identifies runs by the beginning of their data."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["digest_of", "name_of_folder"]

_DIGITS = 12
_MOST_PARTS = 3


def digest_of(kind: str, begin: Any) -> str:
    """Returns the identity of a run: its kind, and a digest of the beginning of its data.

    Later states of the run have the same identity. Other runs have other identities, even if they
    have the same name.
    """
    if not isinstance(begin, bytes):
        begin = json.dumps(begin, sort_keys=True, default=str).encode()
    return f"{kind}-{hashlib.sha256(begin).hexdigest()[:_DIGITS]}"


def name_of_folder(folder: Path, is_generic: Callable[[Path], bool]) -> str:
    """Returns the folder's name.

    If the name is generic, such as `logs`, the names of up to two parent folders are added.
    """
    parts = [folder.name]
    while len(parts) < _MOST_PARTS and folder.parent.name and is_generic(folder):
        folder = folder.parent
        parts.insert(0, folder.name)
    return "/".join(parts)
