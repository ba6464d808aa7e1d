"""`podium check`: checks whether the content of a store is intact."""

import argparse
import sys

from podium_server.serve.environment import default_store
from podium_server.serve.settings import Settings
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
    parser.epilog = (
        "examples:\n"
        "  podium check\n"
        "  podium check --store sqlite:////srv/podium/podium.db\n"
        "  podium check podium-2026-01-31.db"
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="a store or a backup")
    parser.add_argument(
        "--store",
        metavar="URL",
        help=f"a store, instead of FILE (default: $PODIUM_STORE or {Settings().store})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Checks the store; returns the exit code."""
    if arguments.file and arguments.store:
        sys.stderr.write("podium: give FILE or --store, not both\n")
        return _EXIT_USAGE
    store = arguments.file or arguments.store or default_store()
    try:
        faults = check_store(store)
    except StoreError as error:
        sys.stderr.write(f"podium: {error}\n")
        return _EXIT_USAGE
    for fault in faults:
        sys.stdout.write(f"{store}: {fault}\n")
    if faults:
        return _EXIT_DAMAGED
    sys.stdout.write(f"{store}: intact\n")
    return 0
