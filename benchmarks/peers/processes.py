"""Starts, calls, measures and kills the processes of the tools."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Failure", "Worker", "python_of", "running_worker", "tried_kill"]

_ROOT = Path(__file__).parents[2]
_STRACE = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=fsync,fdatasync,msync", "-o")


class Failure(Exception):  # noqa: N818 (an outcome, which the table shows)
    """The failure of a tool to execute an order. The table shows the text of the error."""


def python_of(tool: str) -> Path:
    """Returns the interpreter of the environment of a tool."""
    folder = ".venv" if tool == "podium" else f".cache/peers-{tool}"
    return _ROOT / folder / "bin" / "python"


class Worker:
    """A tool in its own process, with the processes that it starts, and its files in one folder."""

    def __init__(self, tool: str, folder: Path, trace: Path | None = None) -> None:
        self.folder = folder
        self._errors = (folder.parent / f"{folder.name}.log").open("a")
        prefix = () if trace is None else (*_STRACE, str(trace))
        self._process = subprocess.Popen(
            [*prefix, str(python_of(tool)), "-m", f"peers.{tool}_peer"],
            cwd=folder,
            env={
                **os.environ,
                "PEERS_FOLDER": str(folder),
                "PYTHONPATH": str(_ROOT / "benchmarks"),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, do: str, n: int = 1) -> Any:
        """Gives the worker an order. Returns its result, or None if the tool has no such operation.

        Raises:
            Failure: The tool raised an error, or its process ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise Failure("it has no pipes")
        try:
            print(json.dumps({"do": do, "n": n}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise Failure("its process ended") from None
        answer = json.loads(self._process.stdout.readline() or '{"error": "its process ended"}')
        if "error" in answer:
            raise Failure(answer["error"])
        return answer["seen"]

    def memory(self) -> float:
        """Returns the memory in MiB of the tool's servers, or of the worker if there are none."""
        others = [process for process in self._processes() if process != self._process.pid]
        return sum(map(_proportional_mib, others or [self._process.pid]))

    def disk(self) -> float:
        """Returns the disk space of the tool's files in MiB."""
        return sum(map(_blocks, self.folder.rglob("*"))) * 512 / 2**20

    def kill(self) -> None:
        """Kills all processes of the tool at once, as if the machine had crashed."""
        for process in self._processes():
            os.kill(process, signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def _processes(self) -> list[int]:
        mark = f"PEERS_FOLDER={self.folder}".encode()
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and mark in _read(entry / "environ").split(b"\0")
        ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _blocks(path: Path) -> int:
    """Returns the number of disk blocks of a file, or 0 if the tool has just deleted the file."""
    try:
        return path.stat().st_blocks
    except FileNotFoundError:
        return 0


def _proportional_mib(process: int) -> float:
    """Returns the memory of a process in MiB. A page that processes share is divided among them."""
    lines = _read(Path(f"/proc/{process}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"Pss:")) / 1024


@contextmanager
def running_worker(tool: str, folder: Path) -> Iterator[Worker]:
    """Runs a worker in the block, and then kills all of its processes."""
    folder.mkdir(exist_ok=True)
    worker = Worker(tool, folder)
    try:
        yield worker
    finally:
        worker.kill()


def tried_kill(tool: str, do: str, rows: int) -> tuple[int, int | None] | None:
    """Writes rows, kills the tool, starts it again and counts its rows.

    Returns the number of lost rows, and the number of syncs to disk while the tool wrote the rows
    (None without strace). Returns None if the tool has no such operation.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        folder, trace = Path(root) / tool, Path(root) / "trace"
        folder.mkdir()
        worker = Worker(tool, folder, trace if shutil.which("strace") else None)
        try:
            worker.ask("start")
            before = _syncs(trace)
            if worker.ask(do, rows) is None:
                return None
            after = _syncs(trace)
        finally:
            worker.kill()
        with running_worker(tool, folder) as again:
            again.ask("start")
            return rows - int(again.ask("count")), after - before if trace.exists() else None


def _syncs(trace: Path) -> int:
    return sum(b"sync(" in line for line in _read(trace).splitlines())
