"""Builds the clients, and runs their runners, tests and examples."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from podium_server.testing import RunningServer, running_server

from tests.conformance import judging
from tests.conformance.languages import PROJECT, Command, Language
from tests.conformance.runner import running
from tests.conformance.secure import secure_server

__all__ = [
    "Row",
    "Servers",
    "build_checks",
    "built",
    "hold",
    "run_checks",
    "run_exchange",
    "run_http",
    "run_vectors",
    "servers",
]

_BUILD_SECONDS = 900
_TAIL = 4_000
_HTTP = ("--http", "127.0.0.1:0")


@dataclass
class Row:
    """The results of one language so far."""

    language: Language
    cells: dict[str, str] = field(default_factory=dict)
    """The texts of the table's cells, by the names of the table's rows."""
    asked: Counter[str] = field(default_factory=Counter)
    """The number of cases of each cell so far."""
    agreed: Counter[str] = field(default_factory=Counter)
    """The number of these cases whose answers were as expected."""
    complaints: list[str] = field(default_factory=list)


@dataclass
class Servers:
    """The servers of a run."""

    usual: RunningServer
    server_of: Mapping[Path, RunningServer]


def built(language: Language) -> Row:
    """Builds a client. Failures are in `complaints`."""
    row, started = Row(language), time.monotonic()
    for command in language.build:
        if not _succeeds(row, command, _BUILD_SECONDS):
            row.cells["build"] = "failed"
            return row
    seconds = time.monotonic() - started
    print(f"built {language.name} in {seconds:.0f} s", flush=True)
    row.cells["build"] = f"{seconds:.0f} s"
    return row


def build_checks(row: Row) -> None:
    """Runs the lint of a language and builds its tests, so that `run_checks` takes less time."""
    for command in (*row.language.lint, *row.language.test_build):
        _succeeds(row, command, _BUILD_SECONDS)


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
    """Returns the result of a command, or an error text if it did not start or end in time."""
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
    started: dict[tuple[tuple[str, int], ...], RunningServer] = {}
    with ExitStack() as stack:
        server_of = {}
        for file in judging.VECTORS:
            limits = tuple(judging.limits_of(file).items())
            if limits not in started:
                words = [word for name, n in limits for word in ("--limit", f"{name}={n}")]
                started[limits] = stack.enter_context(running_server(None, *_HTTP, *words))
            server_of[file] = started[limits]
        yield Servers(started[()], server_of)


def run_vectors(row: Row, servers: Servers) -> None:
    """Tests a language with the vectors, and makes it record the arms that all languages read."""
    with running(row.language) as runner:
        session = judging.Session(row.language.name, runner, servers.usual.address)
        for file in judging.VECTORS:
            own = replace(session, address=servers.server_of[file].address)
            wanted = [
                check
                for check in judging.checks(file)
                if check.way != "live" or row.language.has_live
            ]
            hold(row, wanted, own)
        hold(row, judging.several_servers(), session)
        hold(row, judging.error_texts(), session)
        hold(row, judging.exchange("write", [row.language.name]), session)


def run_http(row: Row, servers: Servers) -> None:
    """Tests a language with the vectors over HTTP, in each protocol that its runner supports."""
    language = row.language
    with running(replace(language, runner=language.http_runner)) as runner:
        session = judging.Session(f"{language.name}-http", runner, "")
        for protocol in language.protocols:
            for file in judging.VECTORS:
                own = replace(session, address=servers.server_of[file].http, protocol=protocol)
                hold(row, judging.http_checks(file, protocol), own)


def run_exchange(row: Row, languages: Iterable[str], servers: Servers) -> None:
    """Makes a language read the arms that every language has recorded."""
    with running(row.language) as runner:
        session = judging.Session(row.language.name, runner, servers.usual.address)
        hold(row, judging.exchange("read", languages), session)


def hold(row: Row, checks: Iterable[judging.Check], session: judging.Session) -> None:
    """Runs checks. Counts those that succeed, and adds a complaint for each of the others."""
    for check in checks:
        cell = f"{check.file} {check.way}"
        row.asked[cell] += 1
        try:
            check.hold(session)
            row.agreed[cell] += 1
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is the language's complaint
            what = f"{type(error).__name__}: {error}"
            row.complaints.append(f"{check.file}, {check.way}, {check.case!r}: {what}")
    for cell, cases in row.asked.items():
        right = row.agreed[cell]
        row.cells[cell] = str(cases) if right == cases else f"{right} of {cases}"


def run_checks(row: Row) -> None:
    """Runs the lint, tests and example of a language, with separate empty servers."""
    for command in row.language.lint:
        _note(row, "lint", command)
    for column, command in {"tests": row.language.tests, "example": row.language.example}.items():
        if command:
            with running_server(None, *_HTTP) as server, secure_server() as secure:
                named = {"PODIUM_ADDRESS": server.address, "PODIUM_HTTP_ADDRESS": server.http}
                _note(row, column, command, **named, **secure)


def _note(row: Row, column: str, command: Command, **environment: str) -> None:
    """Runs a command. The cell is `ok` if all commands with this name have succeeded."""
    # Some commands build the tests before they run them.
    good = _succeeds(row, command, _BUILD_SECONDS, **environment)
    row.cells[column] = "ok" if good and row.cells.get(column, "ok") == "ok" else "failed"
