"""Exit codes and error messages of commands."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from podium.errors import InvalidArgumentError, NotFoundError, PodiumError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CommandError", "Exit", "command_line", "exit_of", "naming_options", "text_of"]

_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")


class Exit(IntEnum):
    """The exit codes, which scripts rely on."""

    OK = 0
    NOTHING = 1
    """Nothing was found, the user did not confirm, some recorded events are not delivered, or a
    check of `podium doctor` has failed."""
    USAGE = 2
    """The input is invalid: an argument, a line of a file, or a value that exceeds a limit."""
    FAILED = 3
    """The server rejected the call, failed or did not answer."""
    INTERRUPTED = 130
    """The command was interrupted by Ctrl-C. Shells use the same code."""
    PIPE_CLOSED = 141
    """The reader of the output has closed it (`| head`). Shells use the same code."""


class CommandError(Exception):
    """An error that ends a command with an exit code.

    The message describes the problem and how to fix it.
    """

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
    """Returns the message of an error in one line, with the reason in parentheses, if any."""
    # The message of the call has indexes of events, which do not help the user.
    message = error.refusals[0].message if error.refusals else error.message
    line = _LINE_BREAK.sub(" ", message.strip())
    return f"{line} ({error.reason})" if error.reason else line


@contextmanager
def naming_options(event: str, options: Mapping[str, str]) -> Iterator[None]:
    """Turns an InvalidArgumentError of the block into a CommandError that names the options.

    Args:
        event: The field of `Event` that the command records, such as `arm_annotated`.
        options: The option for each field, to replace the field's name in the message.
    """
    try:
        yield
    except InvalidArgumentError as error:
        text = text_of(error)
        for field, option in options.items():
            text = re.sub(rf"\b{event}\.{field}\b", option, text)
        raise CommandError(text) from error
