"""The `podium` command.

Each command is a module of `podium.cli.commands`. The module has `run(arguments, client, console)`,
or `run_locally(arguments, console)` if it does not use the client that `main` opens. A command with
arguments also has `add_arguments(parser)`. The docstring of the module is the text of `--help`. The
modules of `SERVER_COMMANDS` are in `podium_server`. Only the module of the given command is loaded.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from podium.cli import _parsers
from podium.cli._connecting import command_module, open_client
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, exit_of, text_of
from podium.errors import PodiumError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of this process. Returns an exit code of `Exit`."""
    _prepare_streams()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _mute()
        return Exit.PIPE_CLOSED
    except OSError as error:
        # Errors of calls and files are handled before, so this is an error of stdout.
        _mute()
        return _failed(f"the output cannot be written: {error.strerror}", Exit.FAILED)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        given = _parsers.parse(arguments)
        module = command_module(given.command)
        parsed = _parsers.parse_command(given, module)
        if given.command not in _parsers.SERVER_COMMANDS:
            return _call(module, parsed)
        code: int = module.run(parsed)
    except SystemExit as end:
        # argparse has printed its message.
        return end.code if isinstance(end.code, int) else Exit.OK
    except CommandError as error:
        return _failed(str(error), error.code)
    return code


def _call(module: ModuleType, arguments: argparse.Namespace) -> int:
    console = Console(as_json=arguments.json)
    # Commands print the messages that the library would log.
    logging.getLogger("podium").addHandler(logging.NullHandler())
    try:
        return _run_command(module, arguments, console)
    except CommandError as error:
        console.note(str(error))
        return error.code
    except PodiumError as error:
        console.note(text_of(error))
        return exit_of(error)


def _run_command(module: ModuleType, arguments: argparse.Namespace, console: Console) -> int:
    code: int
    if hasattr(module, "run_locally"):
        code = module.run_locally(arguments, console)
    else:
        with open_client(arguments) as client:
            code = module.run(arguments, client, console)
    return code


def _failed(message: str, code: Exit) -> Exit:
    sys.stderr.write(f"podium: {message}\n")
    return code


def _prepare_streams() -> None:
    """Makes stdout and stderr accept any text, even if they are closed or do not use UTF-8.

    If stdin is closed, it becomes empty.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _mute() -> None:
    """Discards the remaining output, so that it raises no error when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
