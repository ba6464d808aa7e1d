"""Exit codes and error messages of commands."""

from __future__ import annotations

import re
import shlex
from enum import IntEnum

from podium.errors import InvalidArgumentError, NotFoundError, PodiumError

__all__ = ["CommandError", "Exit", "command_line", "exit_of", "text_of"]

_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")


class Exit(IntEnum):
    """The exit codes, which scripts rely on."""

    OK = 0
    NOTHING = 1
    """The eval, score, arm or experiment does not exist, the user answered no to a question, or not
    all recorded events are delivered."""
    USAGE = 2
    """The input is invalid: an argument, a line of a file, or a value beyond its limits."""
    FAILED = 3
    """The server rejected, failed or did not answer."""
    INTERRUPTED = 130
    """Interrupted by Ctrl-C, with the code that shells use."""
    PIPE_CLOSED = 141
    """The reader of the output has closed it (`| head`), with the code that shells use."""


class CommandError(Exception):
    """An error that ends a command. The text says what is wrong and what would be right."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


def command_line(*arguments: str) -> str:
    """Returns a command line that the user can copy."""
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
    # The message of the call has indexes of events, which do not help the user.
    message = error.refusals[0].message if error.refusals else error.message
    line = _LINE_BREAK.sub(" ", message.strip())
    return f"{line} ({error.reason})" if error.reason else line
