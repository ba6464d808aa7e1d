"""Shows the token that this command sends, and what it allows.

Example:
  podium whoami --json | jq -r .role
"""

import argparse

from podium import Client
from podium._files import json_form
from podium.cli import _format
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["run"]


def run(_arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Shows the name, role and limits of the token that the command sends, but no secret."""
    token = client.whoami()
    if console.as_json:
        console.json(None if token is None else json_form.to_json(token))
    elif token is None:
        console.line(f"{client.address} requires no tokens, and allows every call")
    else:
        console.line(f"token {token.id} at {client.address}")
        console.fields(
            [
                ("name", token.name),
                ("role", token.role),
                ("prefixes", _format.prefixes(token)),
                ("limits", _format.limits(token)),
                ("stored rows", _format.stored_rows(token)),
                ("expires", _format.moment(token.expire_time) or "never"),
            ]
        )
    return Exit.OK
