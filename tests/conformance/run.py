"""Tests the clients of all languages with the vectors, with a server and in their own processes.

    python -m tests.conformance.run [--all] [--build] [LANGUAGE ...]

Builds each language whose toolchain is installed, and names the others. With `--all`, a missing
toolchain is a failure. Runs each client's own tests and example. Prints a table: a row for each
file and way, and a column for each language. Fails if any answer differs from the expected one, or
is missing.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.conformance.languages import LANGUAGES, Language
from tests.conformance.running import (
    Row,
    Servers,
    build_checks,
    built,
    run_checks,
    run_exchange,
    run_http,
    run_vectors,
    servers,
)
from tests.conformance.table import table

__all__ = ["main"]

_SHOWN_COMPLAINTS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests. Returns 0 if all answers are as expected."""
    options = _options(arguments)
    languages = [one for one in LANGUAGES if not options.languages or one.name in options.languages]
    began = time.monotonic()
    missing = _missing(languages)
    rows = [built(language) for language in languages if language.name not in missing]
    if options.build:
        for row in rows:
            build_checks(row)
        _print_complaints(rows)
        return int(any(row.complaints for row in rows))
    able = [row for row in rows if not row.complaints]
    if able:
        with servers() as started:
            _run_all(able, started)
    _print(rows)
    for name, commands in missing.items():
        print(f"{name} was not run: {', '.join(commands)} not found")
    print(f"took {time.monotonic() - began:.0f} s")
    failed = any(row.complaints for row in rows) or (options.all and missing)
    return 1 if failed or not rows else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Holds every language's client to the vectors.")
    parser.add_argument("--all", action="store_true", help="fail where a toolchain is missing")
    parser.add_argument("--build", action="store_true", help="build everything, and run nothing")
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


def _run_all(rows: Sequence[Row], servers: Servers) -> None:
    """Tests every language. First all languages record arms, then each reads the arms of all."""
    names = [row.language.name for row in rows]
    for row in rows:
        run_vectors(row, servers)
        run_http(row, servers)
    for row in rows:
        run_exchange(row, names, servers)
        run_checks(row)


def _print(rows: Sequence[Row]) -> None:
    print()
    print(table({row.language.name: row.cells for row in rows}))
    _print_complaints(rows)


def _print_complaints(rows: Sequence[Row]) -> None:
    for row in rows:
        for complaint in row.complaints[:_SHOWN_COMPLAINTS]:
            print(f"{row.language.name}: {complaint}")
        more = len(row.complaints) - _SHOWN_COMPLAINTS
        if more > 0:
            print(f"{row.language.name}: and {more} more")


if __name__ == "__main__":
    sys.exit(main())
