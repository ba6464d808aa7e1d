"""Prints a script that completes commands, options and their values in a shell.

Examples:
  echo 'eval "$(podium completion bash)"' >> ~/.bashrc
  echo 'eval "$(podium completion zsh)"' >> ~/.zshrc
  podium completion fish > ~/.config/fish/completions/podium.fish
"""

import argparse
import sys

from podium.cli._completion import SHELLS, script
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["add_arguments", "run_locally"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}"
    )


def run_locally(arguments: argparse.Namespace, _console: Console) -> Exit:
    """Prints the script."""
    sys.stdout.write(script(arguments.shell))
    return Exit.OK
