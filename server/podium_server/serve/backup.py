"""`podium backup`: copies the store, even while a server uses it."""

import argparse
import sys
from pathlib import Path

from podium_server.serve.environment import default_store
from podium_server.store.contract import StoreError
from podium_server.store.open import back_up_store

__all__ = ["add_arguments", "run"]

_EXIT_USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Copies the store to a new file, even while a server uses the store. The copy holds every\n"
        "write that was acknowledged before the command started. The copy is checked. Only this\n"
        "user can read it."
    )
    parser.epilog = (
        "examples:\n"
        "  podium backup podium-2026-01-31.db\n"
        "  podium backup --store sqlite:////srv/podium/podium.db /backups/podium.db"
    )
    parser.add_argument("target", type=Path, metavar="TARGET", help="the new file")
    parser.add_argument(
        "--store",
        default=default_store(),
        metavar="URL",
        help="the store (default: $PODIUM_STORE or %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the copy; returns the exit code."""
    target: Path = arguments.target
    try:
        back_up_store(arguments.store, target)
    except StoreError as error:
        sys.stderr.write(f"podium: {error}\n")
        return _EXIT_USAGE
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes, checked\n")
    return 0
