"""Reads JSON files: one value, a list of values, or JSON lines."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from podium.cli._exits import CommandError
from podium.cli._json import describe, loads

__all__ = ["Item", "name_of", "read_items"]


class Item(NamedTuple):
    """One JSON value that was read from a file, with its place."""

    place: str
    """The file and line of the value, such as `results.jsonl, line 3`."""
    value: Any


def name_of(path: str) -> str:
    """Returns the name of a file for messages."""
    return "standard input" if path == "-" else path


class _Line(NamedTuple):
    number: int
    text: str


def read_items(path: str) -> Iterator[Item]:
    """Yields the values of a file, or of standard input for `-`, while it is read.

    If the first line is a complete object, each line is a value. Otherwise the file is one value,
    or a list of values.

    Raises:
        CommandError: The file cannot be read.
        ValueError: The file is not JSON. The message names the line.
    """
    is_stdin = path == "-"
    prefix = "" if is_stdin else f"{path}, "
    try:
        with open(0 if is_stdin else path, "rb", closefd=not is_stdin) as file:
            for place, value in _items(_lines(file)):
                yield Item(prefix + place, value)
    except OSError as error:
        raise CommandError(f"{name_of(path)} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{prefix}{error}") from error


def _lines(file: Iterable[bytes]) -> Iterator[_Line]:
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"line {number}: the text is not UTF-8") from None
        yield _Line(number, text)


def _items(lines: Iterator[_Line]) -> Iterator[Item]:
    head = next((line for line in lines if line.text.strip()), None)
    if head is None:
        return
    if _is_object(head.text):
        yield Item(f"line {head.number}", loads(head.text))
        for line in lines:
            if line.text.strip():
                yield Item(f"line {line.number}", _loaded(line))
    else:
        yield from _document(head, lines)


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except ValueError:
        return False


def _document(head: _Line, rest: Iterator[_Line]) -> Iterator[Item]:
    value = _loaded(_Line(head.number, head.text + "".join(line.text for line in rest)))
    if isinstance(value, list):
        for number, item in enumerate(value, 1):
            yield Item(f"item {number}", item)
    else:
        yield Item(f"line {head.number}", value)


def _loaded(line: _Line) -> Any:
    try:
        return loads(line.text.rstrip())  # an error at the end is in the last line
    except ValueError as error:
        lines_before = error.lineno - 1 if isinstance(error, json.JSONDecodeError) else 0
        raise ValueError(f"line {line.number + lines_before}: {describe(error)}") from error
