"""Reads the values of foreign files: JSON, YAML, numbers, times."""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

__all__ = [
    "head",
    "json_lines",
    "json_object",
    "number",
    "numbers",
    "time_from_seconds",
    "yaml_object",
]

_HEAD_BYTES = 64 * 1024


def json_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object. NaN and Infinity are numbers, as in Python.

    Raises:
        ValueError: The file has other content. The message names the line.
    """
    try:
        found = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise ValueError("not valid JSON: the file is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} in line {error.lineno}") from error
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of the file, not of an argument
    return found


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Yields the number of each JSON line, and its object or the error."""
    number_of_line = 0
    try:
        with _opened(path) as file:
            for number_of_line, line in enumerate(file, start=1):
                if line.strip():
                    yield number_of_line, _line(line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield number_of_line + 1, ValueError(f"the compressed file ends or is damaged: {error}")


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _line(line: bytes) -> dict[str, Any] | ValueError:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        is_torn = not line.endswith(b"\n")
        return ValueError(
            "the line is incomplete: its writer was stopped" if is_torn else "not valid JSON"
        )
    return found if isinstance(found, dict) else ValueError("not a JSON object")


def head(path: Path) -> bytes:
    """Returns the first bytes of a file, to detect its kind. Empty if it cannot be read."""
    try:
        with _opened(path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def yaml_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one YAML mapping.

    Raises:
        ValueError: The file has other content, or no YAML package is installed.
    """
    try:
        import yaml  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ValueError(
            "reading YAML needs another package: pip install 'podium[import]'"
        ) from error
    try:
        # The C loader is much faster, but not every platform has it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        found = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - either one is safe
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise ValueError(f"not valid YAML: {getattr(error, 'problem', error)}{where}") from error
    if not isinstance(found, dict):
        raise ValueError("not a YAML mapping")  # noqa: TRY004 - of the file, not of an argument
    return {str(key): value for key, value in found.items()}


def number(value: Any) -> float | None:
    """Returns a number, converted from text if needed. None for a bool or any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the values that are numbers, converted from text if needed."""
    found = {key: number(value) for key, value in values.items()}
    return {key: value for key, value in found.items() if value is not None}


def time_from_seconds(seconds: Any) -> datetime | None:
    """Converts seconds since 1970 to a time, or to None if invalid or out of range."""
    given = number(seconds)
    if given is None or not math.isfinite(given):
        return None
    try:
        return datetime.fromtimestamp(given, UTC)
    except (ValueError, OverflowError, OSError):
        return None
