"""Opens the client of a command, and loads the modules of commands."""

from __future__ import annotations

import keyword
from importlib import import_module
from typing import TYPE_CHECKING

import podium
from podium.cli._exits import CommandError
from podium.cli._parsers import SERVER_COMMANDS

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

__all__ = ["command_module", "open_client", "server_module"]

_READ_SECONDS, _WRITE_SECONDS = 10.0, 30.0
_CONNECT_SECONDS = 1.5
"""The seconds for which a command tries to reach a server."""


def open_client(arguments: argparse.Namespace) -> podium.Client:
    """Returns a client of the server at --address or $PODIUM_ADDRESS, with the timeout --timeout.

    Raises:
        CommandError: An option or a variable is malformed.
    """
    timeout: float | None = arguments.timeout
    try:
        return podium.Client(
            arguments.address,
            read_timeout=timeout or _READ_SECONDS,
            write_timeout=timeout or _WRITE_SECONDS,
            connect_timeout=_CONNECT_SECONDS,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error


def command_module(command: str) -> ModuleType:
    """Returns the module of a command.

    Raises:
        CommandError: The command is part of the server, and the server is not installed.
    """
    if command in SERVER_COMMANDS:
        return server_module(SERVER_COMMANDS[command])
    # A Python module cannot be called `import`, so the module of that command is `import_`.
    name = f"{command}_" if keyword.iskeyword(command) else command
    return import_module(f"podium.cli.commands.{name}")


def server_module(name: str) -> ModuleType:
    """Returns a module of the server. Raises a CommandError if the server is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the server is not installed ({error.name} is missing): pip install 'podium[server]'"
        ) from error
