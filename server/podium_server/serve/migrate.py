"""`podium migrate`: copies all results to another store, even while a server uses the first one."""

import argparse
import sys

from podium_server.store.contract import StoreError
from podium_server.store.open import migrate_store

__all__ = ["add_arguments", "run"]

_EXIT_DIFFERENT, _EXIT_USAGE = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Copies all experiments and tokens of a store to another one, and compares every row.\n"
        "A server may use FROM meanwhile. A later run copies only experiments that have changed.\n"
        "An interrupted run copies only whole experiments. Stop the server before the last run.\n"
        "Exit code 0: all rows are equal; 1: some differ, and are listed."
    )
    parser.epilog = (
        "examples:\n"
        "  podium migrate sqlite:///podium.db postgresql://podium@db.example.org/podium\n"
        "  podium migrate postgresql://podium@db.example.org/podium sqlite:////srv/podium.db"
    )
    parser.add_argument("source", metavar="FROM", help="the URL of the store that has the results")
    parser.add_argument(
        "target", metavar="TO", help="the URL of the store to fill, which no server uses"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="also compare all rows of experiments that have not changed since an earlier run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Copies the results; returns the exit code."""
    try:
        done = migrate_store(arguments.source, arguments.target, _print, verify=arguments.verify)
    except StoreError as error:
        sys.stderr.write(f"podium: {error}\n")
        return _EXIT_USAGE
    for difference in done.differences:
        sys.stderr.write(f"podium: {difference}\n")
    _print(f"experiments copied: {done.copied:,}, unchanged since the last run: {done.unchanged:,}")
    if done.differences:
        return _EXIT_DIFFERENT
    if done.changed:
        _print(f"changed during the run: {len(done.changed):,}")
    _print("stop all servers on FROM and run this again, before you start one on TO")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
