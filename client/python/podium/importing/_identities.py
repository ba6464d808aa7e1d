"""Names arms by their folders, and identifies runs by the beginning of their data."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podium._limits.limits import DEFAULT_LIMITS
from podium._values.shorten_text import shorten

__all__ = [
    "digest_of",
    "group_of_model",
    "name_of_folder",
    "name_with_seed",
    "short_digest",
    "within_limit",
]

_DIGITS = 12
_SHORT_DIGITS = 8
_MODEL_BYTES = 160
"""The most bytes of a model's name in a group's name. The limit leaves room for a seed and time."""
_MOST_PARTS = 3


def digest_of(kind: str, begin: Any) -> str:
    """Returns the identity of a run: its kind, and a digest of the beginning of its data."""
    if not isinstance(begin, bytes):
        begin = json.dumps(begin, sort_keys=True, default=str).encode()
    return f"{kind}-{hashlib.sha256(begin).hexdigest()[:_DIGITS]}"


def name_of_folder(folder: Path, is_generic: Callable[[Path], bool]) -> str:
    """Returns the name of a folder.

    Before a generic name, such as `logs`, adds the names of up to two parent folders.
    """
    parts = [folder.name]
    while len(parts) < _MOST_PARTS and folder.parent.name and is_generic(folder):
        folder = folder.parent
        parts.insert(0, folder.name)
    return "/".join(parts)


def name_with_seed(name: str, seed: int | None) -> str:
    """Adds the seed to the name of an arm, unless the name ends with the seed already."""
    if seed is None or re.search(rf"seed[-_=]?{seed}\Z", name, re.IGNORECASE):
        return name
    return f"{name}-seed{seed}"


def group_of_model(model: str, *settings: Any) -> str:
    """Returns the name of a group: the model, and a digest of the settings of its evaluations."""
    text = json.dumps(_texts(settings), sort_keys=True)
    return f"{within_limit(model, _MODEL_BYTES)}@{short_digest(text)}"


def within_limit(name: str, limit: int = DEFAULT_LIMITS.name_bytes) -> str:
    """Shortens a name to a limit of bytes. A shortened name ends with a digest, so it is unique."""
    if len(name.encode()) <= limit:
        return name
    suffix = f"-{short_digest(name)}"
    return shorten(name, limit - len(suffix)) + suffix


def short_digest(text: str) -> str:
    """Returns the first digits of the text's SHA-256 digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT_DIGITS]


def _texts(value: Any) -> Any:
    """Converts values to strings, since some files have numbers as strings. Drops empty values."""
    if isinstance(value, dict):
        found = {str(key): _texts(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in ("", {}, [], None)}
    if isinstance(value, list | tuple):
        return [_texts(item) for item in value]
    return None if value is None else str(value)
