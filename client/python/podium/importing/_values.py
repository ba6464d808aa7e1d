"""Reads the values of foreign files: JSON, YAML, numbers, times."""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

__all__ = [
    "bounded_lines",
    "content_of",
    "decompressed",
    "head",
    "is_torn_object",
    "json_lines",
    "json_object",
    "leaves",
    "number",
    "numbers",
    "object_in",
    "opened_inside",
    "reading_in",
    "text_of",
    "time_from_seconds",
    "yaml_object",
]

_HEAD_BYTES = 64 * 1024
_MAX_FILE_BYTES = 256 * 1024 * 1024
_MAX_LINE_BYTES = 64 * 1024 * 1024
_MAX_YAML_BYTES = 4 * 1024 * 1024

_folder: ContextVar[Path | None] = ContextVar("_folder", default=None)


@contextmanager
def reading_in(folder: Path) -> Iterator[None]:
    """Rejects links to files outside of a folder during the block.

    Otherwise, a link in the results could make an import record the content of private files.
    """
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def content_of(path: Path, limit: int = _MAX_FILE_BYTES) -> bytes:
    """Returns the bytes of a file.

    Raises a ValueError if the file is too large, or is a link to a place outside of the results.
    """
    with opened_inside(path) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise ValueError(f"{path.name} is larger than the limit of {limit:,} bytes")
    return found


def text_of(path: Path) -> str:
    """Returns the text of a file, with a replacement for each byte that is not UTF-8."""
    return content_of(path).decode(errors="replace")


def opened_inside(path: Path) -> BufferedReader:
    """Opens a file. Raises a ValueError if it is a link to a place outside of the results."""
    folder = _folder.get()
    if folder is not None and not path.resolve().is_relative_to(folder):
        raise ValueError(f"{path} is a link to a file outside of the results")
    return path.open("rb")


def json_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one JSON object, which may have NaN and Infinity, as in Python."""
    content = content_of(path)
    if not content.strip():
        raise ValueError("the file is empty")
    try:
        found = json.loads(content)
    except UnicodeDecodeError as error:
        raise ValueError("not valid JSON: the file is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("the data is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} in line {error.lineno}") from error
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of the file, not of an argument
    return found


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Yields the number of each line, and the JSON object in it or the error."""
    number_of_line = 0
    try:
        with opened_inside(path) as plain, decompressed(plain, path) as file:
            for number_of_line, line in enumerate(bounded_lines(file), start=1):
                if line.strip():
                    yield number_of_line, _line(line)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield (
            number_of_line + 1,
            ValueError(f"the compressed file is incomplete or damaged: {error}"),
        )


def decompressed(file: BufferedReader, path: Path) -> gzip.GzipFile | BufferedReader:
    """Returns the file, or its uncompressed content if its name ends with `.gz`."""
    return gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file


def bounded_lines(file: gzip.GzipFile | BufferedReader) -> Iterator[bytes]:
    """Yields the lines of a file. Raises an EOFError for a line of more than 64 MiB."""
    while line := file.readline(_MAX_LINE_BYTES + 1):
        if len(line) > _MAX_LINE_BYTES:
            raise EOFError(f"a line is larger than the limit of {_MAX_LINE_BYTES:,} bytes")
        yield line


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
    """Returns the first bytes of a file, or no bytes if it cannot be read."""
    try:
        with path.open("rb") as plain, decompressed(plain, path) as file:
            return file.read(_HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def is_torn_object(begin: bytes) -> bool:
    """Returns whether the beginning of a file is empty, or a JSON object that may be cut off."""
    text = begin.strip()
    return not text or (text.startswith((b"{", b"\xef\xbb\xbf{")) and not text.endswith(b"}"))


def yaml_object(path: Path) -> dict[str, Any]:
    """Reads a file that holds one YAML mapping. Raises a ValueError for any other content."""
    try:
        import yaml  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ValueError(
            "reading YAML needs another package: pip install 'podium[import]'"
        ) from error
    try:
        # The C loader is much faster, but not every platform has it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        text = content_of(path, _MAX_YAML_BYTES)
        # A few hundred bytes of nested aliases can expand to billions of values.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)):
            raise ValueError("YAML aliases (*name) are not supported")
        found = yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are safe
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f" in line {line + 1}"
        raise ValueError(f"not valid YAML: {getattr(error, 'problem', error)}{where}") from error
    except RecursionError as error:
        raise ValueError("the data is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("not a YAML mapping")  # noqa: TRY004 - of the file, not of an argument
    return {str(key): value for key, value in found.items()}


def leaves(
    values: Mapping[str, Any], *, whole: str | None = None, above: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields each key and value. Nested objects are split, and their keys are joined with dots.

    Args:
        values: The values by key.
        whole: A key that marks an object as one value. Objects with this key are not split.
        above: The prefix of all keys.
    """
    for key, value in values.items():
        if isinstance(value, dict) and (whole is None or whole not in value):
            yield from leaves(value, whole=whole, above=f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def object_in(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Returns the object under a key of a JSON object, or an empty dict if there is none."""
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def number(value: Any) -> float | None:
    """Converts a number, or a number in a string, to a float. Returns None for any other value."""
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
