"""Opens the client of a command, and loads modules of the server."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import podium
from podium.cli._exits import CommandError

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

__all__ = ["open_client", "server_module"]

_READ_SECONDS, _WRITE_SECONDS = 10.0, 30.0
_CONNECT_SECONDS = 1.5
"""The seconds after which a command gives up on an unreachable server. The address may be wrong."""


def open_client(arguments: argparse.Namespace) -> podium.Client:
    """Returns a client for the options `--address` and `--timeout`.

    Raises:
        CommandError: An option or a variable of the environment is malformed.
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


def server_module(name: str) -> ModuleType:
    """Returns a module of the server, which is loaded by name because the server is an extra.

    Raises:
        CommandError: The server is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the server is not installed ({error.name} is missing): pip install 'podium[server]'"
        ) from error
