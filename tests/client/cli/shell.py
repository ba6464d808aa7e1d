"""Runs the `podium` command as a user does: in a process of its own, piped or on a terminal.

Where many cases show the same, one of them has a process of its own and the others are quicker.
"""

import contextlib
import fcntl
import io
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import NamedTuple

from podium.cli import main

__all__ = ["PODIUM", "Outcome", "on_terminal", "podium", "quickly"]

PODIUM = (sys.executable, "-m", "podium")
_SECONDS = 60


class Outcome(NamedTuple):
    """What a command has come to."""

    code: int
    out: str
    err: str = ""


def podium(
    *arguments: str, address: str | None = None, stdin: str | bytes = "", **variables: str
) -> Outcome:
    """Runs a command with its output piped."""
    done = subprocess.run(
        [*PODIUM, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=_environment(address, variables),
        timeout=_SECONDS,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def quickly(*arguments: str, address: str | None = "localhost:1") -> Outcome:
    """Runs a command in this process, which saves the start of another one."""
    given = [] if address is None else ["--address", address]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*given, *arguments])
    return Outcome(int(code), *(_content(stream) for stream in (out, err)))


def on_terminal(
    *arguments: str,
    address: str,
    columns: int = 80,
    answer: str = "",
    stop: signal.Signals | None = None,
) -> Outcome:
    """Runs a command on a terminal, where stdout and stderr are one.

    Args:
        arguments: The arguments of the command.
        address: The address of the server.
        columns: The width of the terminal.
        answer: What to type when the command asks.
        stop: The signal to send when the command asks.
    """
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
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
    """Returns what the command shows until it closes its terminal; answers its question."""
    shown = b""
    while chunk := _read(terminal):
        shown += chunk
        if shown.endswith(b"] "):
            if stop:
                command.send_signal(stop)
            os.write(terminal, answer.encode())
    return shown


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
    except OSError:  # so Linux reports that the last process has closed the terminal
        return b""
