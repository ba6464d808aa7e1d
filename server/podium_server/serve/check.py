"""`podium check`: checks whether the content of a store is intact."""

import argparse
import sys

from podium_server.store.contract import StoreError
from podium_server.store.open import check_store

__all__ = ["add_arguments", "run"]

_EXIT_DAMAGED, _EXIT_USAGE = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Reads every page and every index of a store or of a backup, and prints the faults found.\n"
        "A server may use the store meanwhile. Exit code 0: the file is intact; 1: it is damaged."
    )
    parser.epilog = "examples:\n  podium check podium.db\n  podium check podium-2026-01-31.db"
    parser.add_argument("store", metavar="FILE", help="the file, or the URL of a store")


def run(arguments: argparse.Namespace) -> int:
    """Checks the store; returns the exit code."""
    try:
        faults = check_store(arguments.store)
    except StoreError as error:
        sys.stderr.write(f"podium: {error}\n")
        return _EXIT_USAGE
    for fault in faults:
        sys.stdout.write(f"{arguments.store}: {fault}\n")
    if faults:
        return _EXIT_DAMAGED
    sys.stdout.write(f"{arguments.store}: intact\n")
    return 0
