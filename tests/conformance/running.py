"""Builds languages and runs their runners, tests and examples."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from podium_server.testing import running_server

from tests.conformance import plans
from tests.conformance.judging import Cell, judge
from tests.conformance.languages import PROJECT, Command, Language

__all__ = ["Row", "Servers", "built", "run_checks", "run_plan", "run_vectors", "servers"]

_BUILD_SECONDS = 900
_RUN_SECONDS = 300
_TAIL = 4_000


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


def built(language: Language) -> Row:
    """Builds a language; complaints say what went wrong."""
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
def servers() -> Iterator[Servers]:
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


def run_vectors(row: Row, servers: Servers) -> None:
    """Runs a language's runner over the vectors and lets it write the exchanged arms."""
    own = [row.language.name]
    entries = plans.vector_entries(servers.address_of)
    entries += plans.exchange_entries("write", own, servers.usual)
    run_plan(row, entries, plans.vector_cells() | plans.exchange_cells("write", own))


def run_plan(row: Row, entries: list[plans.Entry], asked: set[Cell]) -> None:
    """Runs a language's runner over a plan, and notes what became of the cells asked for."""
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


def run_checks(row: Row) -> None:
    """Runs a language's lint, and its own tests and its example with an empty server each."""
    for command in row.language.lint:
        _note(row, "lint", command)
    for column, command in {"tests": row.language.tests, "example": row.language.example}.items():
        if command:
            with running_server() as server:
                _note(row, column, command, PODIUM_ADDRESS=server.address)


def _note(row: Row, column: str, command: Command, **environment: str) -> None:
    """Runs a command; its column is ok if every one of the column's commands is."""
    # Some of them build first.
    good = _succeeds(row, command, _BUILD_SECONDS, **environment)
    row.cells[column] = "ok" if good and row.cells.get(column, "ok") == "ok" else "failed"
