"""Exit codes and error messages of commands."""

from __future__ import annotations

import re
import shlex
from enum import IntEnum

from podium.errors import InvalidArgumentError, NotFoundError, PodiumError

__all__ = ["CommandError", "Exit", "command_line", "exit_of", "text_of"]

_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")


class Exit(IntEnum):
    """The exit codes; scripts rely on them."""

    OK = 0
    NOTHING = 1
    """There is no such eval, score, arm or experiment; or the answer to a question was no; or
    not everything that was recorded is delivered."""
    USAGE = 2
    """What was given can't be: an argument, a line of a file, a value out of its bounds."""
    FAILED = 3
    """The server refused, failed or did not answer."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""
    PIPE_CLOSED = 141
    """Nobody reads the output any more (`| head`), as shells count it."""


class CommandError(Exception):
    """An error that ends a command. The text says what is wrong and what would be right."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


def command_line(*arguments: str) -> str:
    """Writes a command that the user can copy."""
    return shlex.join(["podium", *arguments])


def exit_of(error: PodiumError) -> Exit:
    """Returns the exit code for an error of a call."""
    match error:
        case NotFoundError():
            return Exit.NOTHING
        case InvalidArgumentError():
            return Exit.USAGE
        case _:
            return Exit.FAILED


def text_of(error: PodiumError) -> str:
    """Returns an error in one line, with its documented reason."""
    # The call's own text counts events, which a command's user has not.
    message = error.refusals[0].message if error.refusals else error.message
    line = _LINE_BREAK.sub(" ", message.strip())
    return f"{line} ({error.reason})" if error.reason else line
