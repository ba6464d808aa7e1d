"""Servers that run as processes, for tests of how they start and end."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podium_server.testing import RunningServer

__all__ = ["Ended", "command", "refused", "started"]

_SECONDS = 120
Ended = subprocess.CompletedProcess[str]


def command(*arguments: str) -> list[str]:
    """Returns the command that starts a server."""
    return [sys.executable, "-m", "podium_server", *arguments]


def refused(*arguments: str) -> Ended:
    """Starts a server that ends by itself, and returns its output and exit code."""
    pipe = subprocess.PIPE
    with RunningServer._start_process(
        command(*arguments), stdout=pipe, stderr=pipe, text=True
    ) as process:
        out, err = process.communicate(timeout=_SECONDS)
    return Ended(process.args, process.returncode, out, err)


@contextmanager
def started(
    store: Path, *arguments: str, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yields a server process on a SQLite file, and its address.

    The log can be read after the process has ended.
    """
    process = RunningServer._start_process(
        [*prefix, *command("--store", f"sqlite:///{store}", *arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().removeprefix("listening on ").strip()
        yield process, address
    finally:
        process.kill()
        process.communicate(timeout=_SECONDS)
