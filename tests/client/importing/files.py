"""Writes small, made-up files for tests of imports."""

import json
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_lines", "write_text"]


def write_text(path: Path, text: str) -> Path:
    """Writes a text file, and makes the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Writes a JSON file as Python does. NaN and Infinity are written without quotes."""
    return write_text(path, json.dumps(value))


def write_lines(path: Path, *values: Any) -> Path:
    """Writes a file of JSON lines, with one line for each value."""
    return write_text(path, "".join(json.dumps(value) + "\n" for value in values))
