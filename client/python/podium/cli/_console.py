"""Writes results to stdout, and everything else to stderr."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from podium._model.recording import RecordResult
from podium._values.clean_text import clean
from podium._values.text_width import width_of
from podium.cli._table import columns_of, fits, table

__all__ = ["Console"]

_GAP = "  "
_INDENT = "    "
_STEPS = 10


class Console:
    """Writes tables and messages for people, or JSON for programs.

    Attributes:
        as_json: Whether to write JSON.
        is_utf8: Whether stdout is UTF-8, so that it can encode every character.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.is_utf8 = _is_utf8()
        self._line_is_open = False
        self._tenths = 0

    @property
    def width(self) -> int | None:
        """The width of the terminal; None without a terminal, so that nothing is shortened."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def json(self, value: Any) -> None:
        """Writes one value as strict JSON."""
        sys.stdout.write(_dumped(value) + "\n")

    def recorded(self, result: RecordResult, text: str) -> None:
        """Writes the result of a recording call. `text` describes it for people."""
        if self.as_json:
            self.json({"revision": result.revision, "changed_events": result.changed_events})
        else:
            self.line(f"{text}; revision {result.revision}")

    def json_list(self, values: Iterable[Any]) -> None:
        """Writes a list as strict JSON, one item in each line, as soon as the item arrives."""
        separator = "[\n"
        for value in values:
            sys.stdout.write(separator + _dumped(value))
            separator = ",\n"
        sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")

    def line(self, text: str = "") -> None:
        """Writes a line for people, with its control characters in visible form."""
        sys.stdout.write(clean(text) + "\n")

    def table(self, rows: Iterable[Sequence[str]], *headers: str) -> bool:
        """Writes a table for people, and returns whether there are rows.

        Without rows it writes nothing. `columns_of` explains the headers.
        """
        cells = [[clean(cell) for cell in row] for row in rows]
        for line in table(columns_of(cells, *headers), self.width):
            self.line(line)
        return bool(cells)

    def table_with_texts(self, rows: Iterable[Sequence[str]], *headers: str) -> None:
        """Writes a table. If its last column has no room, its texts are wrapped below the rows."""
        cells = [[clean(cell) for cell in row] for row in rows]
        if fits(columns_of(cells, *headers), self.width):
            self.table(cells, *headers)
            return
        short = [row[:-1] for row in cells]
        head, *lines = table(columns_of(short, *headers[:-1]), self.width)
        self.line(head)
        for line, row in zip(lines, cells, strict=True):
            self.line(line)
            for part in self._wrapped(row[-1], len(_INDENT)):
                self.line(_INDENT + part)

    def fields(self, fields: Iterable[tuple[str, str]]) -> None:
        """Writes texts with labels. Leaves empty texts out, and keeps the line breaks of a text."""
        shown = [(label, text) for label, text in fields if text]
        indent = max((width_of(label) for label, _ in shown), default=0) + 2 * len(_GAP)
        for label, text in shown:
            start = f"{_GAP}{label}".ljust(indent)
            for part in self._wrapped(text, indent):
                self.line(start + part)
                start = " " * indent

    def note(self, text: str) -> None:
        """Writes a message to stderr."""
        sys.stderr.write(f"{self._end_of_progress()}podium: {clean(text)}\n")

    def ask(self, question: str) -> bool:
        """Asks on the terminal, and returns whether the answer was yes."""
        sys.stderr.write(f"{clean(question)} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            sys.stderr.write("\n")
        return answer.strip().lower() in {"y", "yes"}

    def progress(self, done: int, total: int, what: str) -> None:
        """Shows the progress of a long command. Without a terminal, shows it at most ten times."""
        text = f"{done:,} of {total:,} {what}"
        tenths, before = _STEPS * done // total, self._tenths
        self._tenths = tenths
        if sys.stderr.isatty():
            self._line_is_open = True
            sys.stderr.write(f"\r{text}{self._end_of_progress() if done == total else ''}")
        elif tenths > before:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _wrapped(self, text: str, indent: int) -> Iterator[str]:
        for line in text.splitlines():
            shown = clean(line.expandtabs())
            width = self.width
            if width is None:
                yield shown
            else:
                yield from textwrap.wrap(shown, max(width - indent, 1), break_on_hyphens=False) or [
                    ""
                ]

    def _end_of_progress(self) -> str:
        was_open, self._line_is_open = self._line_is_open, False
        return "\n" if was_open else ""


def _is_utf8() -> bool:
    return sys.stdout.encoding.lower().replace("-", "") == "utf8"


def _dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=not _is_utf8())
