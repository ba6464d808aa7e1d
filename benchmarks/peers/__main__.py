"""Measures Podium and other tools in turn, with the same rows (`make bench-peers`)."""

import argparse
import os
import platform
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from peers.processes import Failure, Worker, python_of, running_worker, tried_kill
from peers.report import NONE, table

_TOOLS = ("podium", "mlflow", "optuna", "vizier", "trackio", "aim", "wandb", "tensorboard")
_ROUNDS, _KILLED_ROWS = 3, 500
_SHOWN = 60
_ORDERS = {
    "fill": 1,
    "batch": 10_000,
    "read": 200,
    "top": 20,
    "matrix": 5,
    "write": 200,
    "writers": 20,
    "log": 500,
}
_ONCE = ("fill", "batch")
_QUICK = {"read": 50, "top": 10, "matrix": 3, "write": 50, "writers": 5, "log": 200}


class _Run:
    """The measurements so far, by figure and tool."""

    def __init__(self, tools: Sequence[str], orders: dict[str, int]) -> None:
        self.numbers: dict[tuple[str, str], list[float]] = {}
        self.texts: dict[tuple[str, str], str] = {}
        self.tools = [tool for tool in tools if self._is_installed(tool)]
        self._orders = orders

    def _is_installed(self, tool: str) -> bool:
        if (python_of(tool).parents[1] / "locked").exists():
            return True
        self.texts["start", tool] = "not installable here"
        return False

    def measure(self, folder: Path, rounds: int) -> None:
        """Starts each tool with an empty store, and gives each order to all tools in turn.

        The stores are filled once, before the first round.
        """
        with ExitStack() as running:
            workers = {
                tool: running.enter_context(running_worker(tool, folder / tool))
                for tool in self.tools
            }
            for tool in self._shuffled(workers):
                if not self._ask("start", tool, workers[tool]):
                    del workers[tool]
            for do, n in self._orders.items():
                if do in _ONCE:
                    self._ask_all(do, workers, n)
            self._weigh("disk", {tool: workers[tool].disk() for tool in workers})
            for _ in range(rounds):
                for do, n in self._orders.items():
                    if do not in _ONCE:
                        self._ask_all(do, workers, n)
            self._weigh("memory", {tool: workers[tool].memory() for tool in workers})
            for tool, worker in workers.items():
                self._ask("stop", tool, worker)

    def kills(self) -> None:
        """Kills each tool after writes, and again after log calls, and counts the lost rows."""
        for tool in self.tools:
            for do, lost, durable in (
                ("write", "lost_write", "durable"),
                ("log", "lost_log", "durable_log"),
            ):
                _say(f"kill -9 of {tool} after {_KILLED_ROWS} calls of {do}")
                self._kill(tool, do, lost, durable)

    def _kill(self, tool: str, do: str, lost: str, durable: str) -> None:
        try:
            seen = tried_kill(tool, do, _KILLED_ROWS)
        except Failure as failure:
            self.texts[lost, tool] = f"fails: {failure}"[:_SHOWN]
            return
        if seen is None:
            return
        self.texts[lost, tool] = f"{seen[0]} of {_KILLED_ROWS}"
        if seen[1] is None:
            self.texts[durable, tool] = "not tried: no strace"
        else:
            answer = "yes" if seen[1] >= _KILLED_ROWS else "no"
            self.texts[durable, tool] = f"{answer} ({seen[1]:,} syncs)"

    def _ask_all(self, do: str, workers: dict[str, Worker], n: int) -> None:
        for tool in self._shuffled(workers):
            self._ask(do, tool, workers[tool], n)

    def _ask(self, do: str, tool: str, worker: Worker, n: int = 1) -> bool:
        _say(f"{tool}: {do}")
        try:
            seen = worker.ask(do, n)
        except Failure as failure:
            self.texts[do, tool] = f"fails: {failure}"[:_SHOWN]
            return False
        if seen is not None:
            self.numbers.setdefault((do, tool), []).append(float(seen))
        return True

    def _weigh(self, what: str, seen: dict[str, float]) -> None:
        for tool, number in seen.items():
            self.numbers.setdefault((what, tool), []).append(number)

    @staticmethod
    def _shuffled(workers: dict[str, Worker]) -> list[str]:
        return random.sample(list(workers), len(workers))


def main() -> None:
    """Measures the tools that are installed, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one start of each tool, fewer calls")
    parser.add_argument("--tools", nargs="*", default=_TOOLS, help="only these, beside podium")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    tools = [tool for tool in _TOOLS if tool in {"podium", *arguments.tools}]
    run = _Run(tools, {**_ORDERS, **(_QUICK if arguments.quick else {})})
    load = f"load before {os.getloadavg()[0]:.1f}"
    starts, rounds = (1, _ROUNDS) if arguments.quick else (_ROUNDS, 1)
    for _ in range(starts):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            run.measure(Path(folder), rounds)
    run.kills()
    text = table(tools, {**run.numbers, **run.texts})
    cores = len(os.sched_getaffinity(0))
    print(f"\n{platform.machine()}, {cores} cores, {load}, after {os.getloadavg()[0]:.1f}\n")
    print(f"{text}\n\n{NONE}: the tool has no such operation.")
    if arguments.markdown:
        arguments.markdown.write_text(f"{text}\n")


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
