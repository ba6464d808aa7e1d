"""Shows the version and the limits of the server, and the id of its store.

Example:
  podium server --json | jq .limits.call_events
"""

import argparse

from podium import Client
from podium._files import json_form
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["run"]


def run(_arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows the version, the limits and the store's id of the server."""
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
