"""Runs the `podium` command in this process, in a process of its own, or on a terminal.

Tests of server commands, signals, terminals and the end of a process need a process of its own.
"""

import contextlib
import fcntl
import io
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from unittest import mock

from podium.cli import _connecting, main
from podium.cli._parsers import SERVER_COMMANDS

from tests import zygote

__all__ = ["PODIUM", "Outcome", "on_terminal", "podium", "process"]

PODIUM = (sys.executable, "-m", "podium")
_SECONDS = 240
_NOTICE_SECONDS = 20


class Outcome(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str = ""


def podium(
    *arguments: str, address: str | None = None, stdin: str | bytes = "", **variables: str
) -> Outcome:
    """Runs a command with its output piped.

    The command runs in this process, unless it is a server command.
    """
    if SERVER_COMMANDS.keys() & set(arguments[:1]):
        return process(*arguments, address=address, stdin=stdin, **variables)
    encoding = variables.get("PYTHONIOENCODING", "utf-8")
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace", newline="") for _ in range(2)
    )
    with (
        mock.patch.dict(os.environ, _environment(address, variables), clear=True),
        mock.patch.object(_connecting, "_CONNECT_SECONDS", _connect_seconds(address)),
        _standard_input(_bytes(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(arguments)
    return Outcome(int(code), _content(out), _content(err))


def process(
    *arguments: str, address: str | None = None, stdin: str | bytes = "", **variables: str
) -> Outcome:
    """Runs a command with its output piped, in a process of its own."""
    pipe = subprocess.PIPE
    environment = _environment(address, variables)
    with zygote.start(
        [*PODIUM, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    ) as command:
        out, err = command.communicate(_bytes(stdin), _SECONDS)
    return Outcome(command.returncode, out.decode(), err.decode())


def on_terminal(
    *arguments: str,
    address: str,
    columns: int = 80,
    answer: str = "",
    stop: signal.Signals | None = None,
) -> Outcome:
    """Runs a command on a terminal, which shows both its stdout and its stderr.

    Args:
        arguments: The arguments of the command.
        address: The address of the server.
        columns: The width of the terminal.
        answer: What to type when the command asks.
        stop: The signal to send when the command asks.
    """
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with zygote.start(
        [*PODIUM, *arguments],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        env=_environment(address, {}),
    ) as command:
        os.close(its_end)
        try:
            shown = _converse(command, terminal, answer, stop)
            code = command.wait(_SECONDS)
        finally:
            command.kill()
            os.close(terminal)
    return Outcome(code, shown.decode().replace("\r\n", "\n"))


def _converse(
    command: subprocess.Popen[bytes], terminal: int, answer: str, stop: signal.Signals | None
) -> bytes:
    """Returns what the command shows until it closes its terminal.

    When the command asks a question, sends the signal `stop`, if it is given, and types `answer`.
    """
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
        if shown.endswith(b"] "):
            if stop:
                _interrupt(command, terminal, stop)
            os.write(terminal, answer.encode())
    return shown


def _connect_seconds(address: str | None) -> float:
    """Returns for how many seconds a command waits for a connection.

    If the port is open, these are more seconds than users would wait. A server on a busy machine
    may need them.
    """
    host, _, port = (address or "").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _NOTICE_SECONDS).close()
    except (OSError, ValueError):
        return _connecting._CONNECT_SECONDS
    return _SECONDS


def _interrupt(command: subprocess.Popen[bytes], terminal: int, stop: signal.Signals) -> None:
    """Repeats a signal to a command that reads from its terminal, until the command reacts.

    A signal that arrives just before Python reads does not interrupt the reading.
    """
    command.send_signal(stop)
    while not select.select([terminal], [], [], _NOTICE_SECONDS)[0]:
        command.send_signal(stop)


@contextlib.contextmanager
def _standard_input(content: bytes) -> Iterator[None]:
    """Replaces the standard input of this process by `content` inside the block."""
    kept = os.dup(0)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.seek(0)
            os.dup2(file.fileno(), 0)
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _content(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _environment(address: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return kept | {"PODIUM_ADDRESS": address or "localhost:1", **variables}


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], _SECONDS)
    if not ready:
        raise TimeoutError(f"the command showed nothing for {_SECONDS} s, and did not end")
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux: the last process has closed the terminal
        return b""
