"""Small, made-up files in the formats of other tools."""

import json
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_lines", "write_text"]


def write_text(path: Path, text: str) -> Path:
    """Writes a file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Writes a JSON file as Python does, NaN and all."""
    return write_text(path, json.dumps(value))


def write_lines(path: Path, *values: Any) -> Path:
    """Writes JSON lines."""
    return write_text(path, "".join(json.dumps(value) + "\n" for value in values))
