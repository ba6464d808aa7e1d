"""The processes that are measured: Podium, the echo, and this machine's word about them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["echo_server", "memory_mib"]

_ECHO = Path(__file__).parent / "echo.py"


@contextmanager
def echo_server() -> Iterator[str]:
    """Runs the echo; gives its address."""
    process = subprocess.Popen([sys.executable, str(_ECHO)], stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the echo has no output")
        yield process.stdout.readline().removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate()


def memory_mib(process: int) -> float:
    """The memory that a process holds in RAM now, in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
