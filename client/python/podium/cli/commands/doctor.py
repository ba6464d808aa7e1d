"""Checks what recording and reading need, and says how to solve each problem.

The command checks the address, encryption, the token, the clocks and versions, the outbox
of this user, and, with --store, a store on this machine. Exit code 0: no check has
failed; 1: at least one has failed.

Examples:
  podium doctor --address results.example.org:50051
  podium doctor --store sqlite:////srv/podium/podium.db
  podium doctor --json | jq '.[] | select(.level == "failed")'
"""

import argparse
import os
from itertools import chain
from pathlib import Path

from podium.cli._check_files import check_outbox, check_store
from podium.cli._check_server import check_server
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._findings import Level

__all__ = ["add_arguments", "run_locally"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--store",
        default=os.environ.get("PODIUM_STORE", "").strip() or None,
        metavar="URL",
        help="also check a store on this machine (default: $PODIUM_STORE)",
    )
    parser.add_argument(
        "--outbox",
        type=Path,
        metavar="FOLDER",
        help="the folder of the outboxes (default: see FOLDER in `podium outbox --help`)",
    )


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Makes all checks, and shows their results."""
    findings = []
    checks = [check_server(arguments), check_outbox(arguments.outbox)]
    if arguments.store:
        checks.append(check_store(arguments.store))
    for finding in chain.from_iterable(checks):
        findings.append(finding)
        if not console.as_json:
            console.line(f"{finding.level:<8} {finding.check:<8} {finding.text}")
            if finding.remedy:
                console.line(f"{'':<17} -> {finding.remedy}")
    if console.as_json:
        console.json_list(finding._asdict() for finding in findings)
    has_failed = any(finding.level is Level.FAILED for finding in findings)
    return Exit.NOTHING if has_failed else Exit.OK
