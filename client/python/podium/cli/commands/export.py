"""Writes an experiment, or all of them, as JSON lines.

Each experiment has its declaration, its arms with all of their rows and training series,
and its conclusion. `podium record` records such a file on another server. Recording it
twice changes nothing.

With --format csv it writes a flat table instead, with a line for each number, for
spreadsheets and data frames. The table lacks configurations, and breakdowns that are not
numbers, so it cannot be imported. Texts that spreadsheets would run as formulas begin
with an apostrophe. --format parquet writes the same table for data frames. Its file also
has everything that JSON lines have, so `podium import` reads it.

Each arm and its rows are from one revision; its training series may be newer. Changes
that are made during the export may be missing; if so, a note says that.

Examples:
  podium export rank_sweep --output rank_sweep.jsonl
  podium export rank_sweep --format csv --output rank_sweep.csv
  podium export | gzip > everything.jsonl.gz
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

from podium import ArmResult, Client, Experiment, Series
from podium._files import exports, json_form
from podium._files.parquet import ParquetWriter
from podium._limits.limits import DEFAULT_LIMITS
from podium.cli import _format
from podium.cli._columns import add_columns
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.cli._output import new_file
from podium.errors import NotFoundError

__all__ = ["add_arguments", "run"]

_FORMATS = ("jsonl", "csv", "parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The first characters by which spreadsheets recognize a text as a formula."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        nargs="?",
        help="the name of the experiment; all if not given",
    )
    parser.add_argument("--output", metavar="FILE", help="the file; standard output if not given")
    add_columns(parser, "add these columns of each arm to a CSV file")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        help="the format (default: by the suffix of --output, otherwise jsonl)",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Writes all experiments, or the given one, in the requested format."""
    arguments.format = arguments.format or _format_of(arguments.output, console)
    if console.as_json and arguments.format != "jsonl":
        raise CommandError(
            f"--json and --format {arguments.format} exclude each other; leave one out"
        )
    if arguments.column and arguments.format != "csv":
        raise CommandError(
            f"--column is for --format csv; {arguments.format} has whole configurations"
        )
    if arguments.format == "parquet" and not arguments.output:
        raise CommandError("Parquet is binary and cannot go to standard output; give --output FILE")
    name: str | None = arguments.experiment
    experiments = client.experiments() if name is None else [client.experiment(name).get()]
    with _opened(arguments, console) as writer:
        counts = [_export(experiment, client, writer, console) for experiment in experiments]
    if arguments.output:
        arms = sum(count.arms for count in counts)
        rows = sum(count.rows for count in counts)
        console.note(
            f"{arguments.output} ({arguments.format}): {_format.count(len(counts), 'experiment')}, "
            f"{_format.count(arms, 'arm')}, {_format.count(rows, 'eval row')}"
        )
    return Exit.OK


def _format_of(path: str | None, console: Console) -> str:
    suffix = Path(path or "").suffix.removeprefix(".").lower()
    return suffix if suffix in _FORMATS and not console.as_json else _FORMATS[0]


class _Writer(Protocol):
    """A format in which experiments are written."""

    def item(self, item: dict[str, Any]) -> None:
        """Writes an event."""

    def arm(self, arm: ArmResult, series: Mapping[str, Series]) -> None:
        """Writes an arm with its training series."""


class _Count(NamedTuple):
    arms: int
    rows: int


def _export(experiment: Experiment, client: Client, writer: _Writer, console: Console) -> _Count:
    handle = client.experiment(experiment.name)
    arms = rows = 0
    writer.item(exports.declaration_item(experiment))
    for summary in handle.arms(page_size=DEFAULT_LIMITS.page_rows).stream():
        try:
            arm = handle.arm(summary.name).get()
            series = handle.arm(summary.name).all_series() if arm.metrics else {}
        except NotFoundError:
            continue  # the arm was deleted in the meantime, which the revision below shows
        writer.arm(arm, series)
        arms, rows = arms + 1, rows + len(arm.evals)
    conclusion = exports.conclusion_item(experiment)
    if conclusion is not None:
        writer.item(conclusion)
    _say_what_changed(experiment, client, console)
    return _Count(arms, rows)


def _say_what_changed(experiment: Experiment, client: Client, console: Console) -> None:
    try:
        revision = client.experiment(experiment.name).get().revision
    except NotFoundError:
        console.note(f"{experiment.name} was deleted while it was exported")
        return
    if revision != experiment.revision:
        console.note(
            f"{experiment.name} changed while it was exported, from revision "
            f"{experiment.revision} to {revision}: export it again to get all changes"
        )


# ---- Forms ---------------------------------------------------------------------------------


class _JsonLines:
    def __init__(self, file: TextIO, *, is_utf8: bool) -> None:
        self._file = file
        self._is_utf8 = is_utf8

    def item(self, item: dict[str, Any]) -> None:
        """Writes an event."""
        text = json.dumps(item, allow_nan=False, ensure_ascii=not self._is_utf8)
        self._file.write(f"{text}\n")

    def arm(self, arm: ArmResult, series: Mapping[str, Series]) -> None:
        """Writes an arm with its training series."""
        self.item(json_form.to_json(arm))
        for item in exports.series_items(arm, series):
            self.item(item)


class _Csv:
    """Writes CSV: a header, and one number in each line."""

    def __init__(self, file: TextIO, columns: list[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._columns = columns
        self._writer.writerow([*exports.Number._fields, *columns])

    def item(self, item: dict[str, Any]) -> None:
        """Skips an event, which has no numbers."""

    def arm(self, arm: ArmResult, series: Mapping[str, Series]) -> None:
        """Writes the numbers of an arm."""
        record = arm.record() if self._columns else {}
        more = [record.get(column) for column in self._columns]
        for number in exports.numbers(arm, series):
            self._writer.writerow(map(_cell, [*number, *more]))


def _cell(value: Any) -> Any:
    """Returns a cell of a table.

    Puts an apostrophe before a text that is a formula in spreadsheets.
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return json_form.to_json(value)


@contextmanager
def _opened(arguments: argparse.Namespace, console: Console) -> Iterator[_Writer]:
    """Yields a writer to standard output, or to a file that appears only when it is complete."""
    path: str | None = arguments.output
    if path is None:
        yield _text_form(arguments, sys.stdout, is_utf8=console.is_utf8)
        return
    with new_file(path) as part, _form_in_file(arguments, part) as writer:
        yield writer


@contextmanager
def _form_in_file(arguments: argparse.Namespace, path: Path) -> Iterator[_Writer]:
    if arguments.format == "parquet":
        try:
            writer = ParquetWriter(path)
        except ValueError as error:
            raise CommandError(str(error)) from error
        with writer:
            yield writer
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        yield _text_form(arguments, file, is_utf8=True)


def _text_form(arguments: argparse.Namespace, file: TextIO, *, is_utf8: bool) -> _Writer:
    if arguments.format == "csv":
        return _Csv(file, arguments.column)
    return _JsonLines(file, is_utf8=is_utf8)
