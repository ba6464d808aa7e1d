"""Calls servers, runs the echo server, and reads the memory and CPU time of processes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc

__all__ = ["Ask", "asking", "cpu_seconds", "echo_server", "memory_mib"]

_ECHO = Path(__file__).parent / "echo.py"


class Ask(Protocol):
    """A function that makes calls of one rpc, with encoded messages."""

    def __call__(self, request: bytes, /, *, wait_for_ready: bool = False) -> bytes:
        """Sends an encoded request, and returns the encoded response."""


def asking(channel: grpc.Channel, path: str) -> Ask:
    """Returns a function that calls the rpc at a path, with encoded messages."""
    method: Any = channel.unary_unary(path)
    call: Ask = method
    return call


@contextmanager
def echo_server(command: Sequence[str | Path] = (sys.executable, _ECHO)) -> Iterator[str]:
    """Runs an echo server, by default the one in Python. Yields its address."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the echo has no output")
        yield process.stdout.readline().removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate()


def memory_mib(process: int) -> float:
    """Returns the resident memory of a process in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def cpu_seconds(process: int) -> float:
    """Returns the processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
