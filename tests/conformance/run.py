"""Holds the clients of all languages to the vectors, over the wire and by themselves.

    python -m tests.conformance.run [--all] [LANGUAGE ...]

Builds each language whose toolchain is present and names those that are not (with `--all`, it
fails where one is not), runs their own tests and examples, and prints a table: language by file
of vectors and way. Any disagreement and any case that was not reported fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from podium_server.testing import running_server

from tests.conformance import plans
from tests.conformance.judging import Cell, judge
from tests.conformance.languages import LANGUAGES, PROJECT, Command, Language
from tests.conformance.table import table

__all__ = ["main"]

_BUILD_SECONDS = 900
_RUN_SECONDS = 300
_TAIL = 4_000
_SHOWN_COMPLAINTS = 10


@dataclass
class Row:
    """What is known of a language so far."""

    language: Language
    cells: dict[str, str] = field(default_factory=dict)
    """Columns and what stands there."""
    complaints: list[str] = field(default_factory=list)


@dataclass
class Servers:
    """The addresses of the servers of a run."""

    usual: str
    address_of: Mapping[Path, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the harness; the exit code is 0 if everything agrees."""
    options = _options(arguments)
    languages = [one for one in LANGUAGES if not options.languages or one.name in options.languages]
    started = time.monotonic()
    missing = _missing(languages)
    rows = [_built(language) for language in languages if language.name not in missing]
    with _servers() as servers:
        _run_all([row for row in rows if not row.complaints], servers)
    _print(rows)
    for name, commands in missing.items():
        print(f"{name} was not run: {', '.join(commands)} not found")
    print(f"took {time.monotonic() - started:.0f} s")
    failed = any(row.complaints for row in rows) or (options.all and missing)
    return 1 if failed or not rows else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Holds every language's client to the vectors.")
    parser.add_argument("--all", action="store_true", help="fail where a toolchain is missing")
    names = [language.name for language in LANGUAGES]
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=", ".join(names))
    options = parser.parse_args(arguments)
    unknown = set(options.languages) - set(names)
    if unknown:
        parser.error(f"no such language: {', '.join(sorted(unknown))}; there are {names}")
    return options


def _missing(languages: Sequence[Language]) -> dict[str, list[str]]:
    found = {language.name: language.missing() for language in languages if language.path.is_dir()}
    absent = {one.name: [one.folder] for one in languages if not one.path.is_dir()}
    return {name: commands for name, commands in found.items() if commands} | absent


def _built(language: Language) -> Row:
    row, started = Row(language), time.monotonic()
    for command in language.build:
        if not _succeeds(row, command, _BUILD_SECONDS):
            row.cells["build"] = "failed"
            return row
    seconds = time.monotonic() - started
    print(f"built {language.name} in {seconds:.0f} s", flush=True)
    row.cells["build"] = f"{seconds:.0f} s"
    return row


def _succeeds(row: Row, command: Command, seconds: float, **environment: str) -> bool:
    ended = _ended(row.language, command, seconds, environment)
    if isinstance(ended, str):
        row.complaints.append(ended)
        return False
    if ended.returncode != 0:
        output = f"{ended.stdout}\n{ended.stderr}".strip()[-_TAIL:]
        row.complaints.append(f"{' '.join(command)} ended with {ended.returncode}:\n{output}")
    return ended.returncode == 0


def _ended(
    language: Language, command: Command, seconds: float, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str] | str:
    """What became of a command; a text if it never ended."""
    path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    try:
        return subprocess.run(
            command,
            check=False,
            cwd=language.path,
            env={**os.environ, "PYTHONPATH": path, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        return str(error)


@contextmanager
def _servers() -> Iterator[Servers]:
    """Starts a server for each set of limits that a file of vectors names."""
    started: dict[tuple[tuple[str, int], ...], str] = {}
    with ExitStack() as stack:
        address_of = {}
        for file in plans.VECTORS:
            limits = tuple(plans.limits_of(file).items())
            if limits not in started:
                words = [word for name, n in limits for word in ("--limit", f"{name}={n}")]
                started[limits] = stack.enter_context(running_server(None, *words)).address
            address_of[file] = started[limits]
        yield Servers(started[()], address_of)


def _run_all(rows: Sequence[Row], servers: Servers) -> None:
    """Runs every language: first all write, then each reads what each has written."""
    names = [row.language.name for row in rows]
    for row in rows:
        own = [row.language.name]
        entries = plans.vector_entries(servers.address_of)
        entries += plans.exchange_entries("write", own, servers.usual)
        _run_plan(row, entries, plans.vector_cells() | plans.exchange_cells("write", own))
    for row in rows:
        entries = plans.exchange_entries("read", names, servers.usual)
        _run_plan(row, entries, plans.exchange_cells("read", names))
        _run_own(row)


def _run_plan(row: Row, entries: list[plans.Entry], asked: set[Cell]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        plan.write_text(json.dumps(entries), encoding="utf-8")
        command = (*row.language.runner, str(plan))
        ended = _ended(row.language, command, _RUN_SECONDS, {})
    if isinstance(ended, str):
        row.complaints.append(ended)
        printed = ""
    else:
        printed = ended.stdout
        if ended.returncode != 0:
            row.complaints.append(
                f"the runner ended with {ended.returncode}: {ended.stderr[-_TAIL:]}"
            )
    verdict = judge(printed, asked)
    row.complaints += verdict.complaints
    for place, cases in verdict.asked.items():
        agreed = verdict.agreed[place]
        row.cells[" ".join(place)] = str(cases) if agreed == cases else f"{agreed} of {cases}"


def _run_own(row: Row) -> None:
    """Runs a language's own tests and its example, each with an empty server."""
    commands = {"tests": row.language.tests, "example": row.language.example}
    for column, command in commands.items():
        if command:
            with running_server() as server:
                good = _succeeds(row, command, _RUN_SECONDS, PODIUM_ADDRESS=server.address)
            row.cells[column] = "ok" if good else "failed"


def _print(rows: Sequence[Row]) -> None:
    print()
    print(table({row.language.name: row.cells for row in rows}))
    for row in rows:
        for complaint in row.complaints[:_SHOWN_COMPLAINTS]:
            print(f"{row.language.name}: {complaint}")
        more = len(row.complaints) - _SHOWN_COMPLAINTS
        if more > 0:
            print(f"{row.language.name}: and {more} more")


if __name__ == "__main__":
    sys.exit(main())
