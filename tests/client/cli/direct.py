"""Runs a command in the process of the test, with a client that the test gives."""

from typing import Any

from podium.cli import _parsers
from podium.cli._connecting import command_module
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["run"]


def run(line: str, client: Any = None) -> Exit:
    """Runs a command in this process, and returns its exit code. Raises the command's errors."""
    given = _parsers.parse(line.split())
    module: Any = command_module(given.command)
    arguments = _parsers.parse_command(given, module)
    console = Console(as_json=arguments.json)
    if hasattr(module, "run_locally"):
        return Exit(module.run_locally(arguments, console))
    return Exit(module.run(arguments, client, console))
