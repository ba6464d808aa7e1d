"""`podium server`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium._files import json_form
from podium.cli._exits import Exit

if TYPE_CHECKING:
    import argparse

    from podium import Client
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describes the command, which has no arguments of its own."""
    parser.description = "Shows the version and the limits of the server, and the id of its store."
    parser.epilog = "example:\n  podium server --json | jq .limits.call_events"


def run(_arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows the server."""
    found = client.server()
    if console.as_json:
        console.json(json_form.to_json(found))
        return Exit.OK
    console.line(f"podium {found.version} on {client.address}, store {found.store_id}")
    console.table(
        [(name, f"{limit:,}") for name, limit in json_form.to_json(found.limits).items()],
        "LIMIT",
        ">MOST",
    )
    return Exit.OK
