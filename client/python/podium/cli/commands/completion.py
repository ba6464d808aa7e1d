"""`podium completion`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from podium.cli._completion import SHELLS, script
from podium.cli._exits import Exit

if TYPE_CHECKING:
    import argparse

    from podium.cli._console import Console

__all__ = ["add_arguments", "run_locally"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Prints a script that completes commands, options and their values in a shell."
    )
    parser.epilog = (
        "examples:\n"
        "  echo 'eval \"$(podium completion bash)\"' >> ~/.bashrc\n"
        "  echo 'eval \"$(podium completion zsh)\"' >> ~/.zshrc\n"
        "  podium completion fish > ~/.config/fish/completions/podium.fish"
    )
    parser.add_argument(
        "shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}"
    )


def run_locally(arguments: argparse.Namespace, _console: Console) -> Exit:
    """Prints the script."""
    sys.stdout.write(script(arguments.shell))
    return Exit.OK
