"""Measures how times and sizes grow with the number of arms of an experiment.

`make bench-scaling` writes docs/scaling.png and prints a table. Each store has one experiment, with
ten rows per arm. An echo server in C++ shows the least time of a gRPC call. Calls to it and to
Podium alternate. Reads are answered from the store, without a cache.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import grpc
import matplotlib.pyplot as plt
from data import (
    ROWS_PER_ARM,
    check_rank,
    check_score,
    eval_request,
    fill_experiments,
    rank_request,
    row_calls,
    score_request,
    start_arms,
)
from podium_server.testing import RunningServer
from reads import alternate
from servers import Ask, asking, echo_server, memory_mib

_ECHO = Path(".cache/echo")
_ECHO_CALL = "/bench.Echo/Echo"
_READS = "/podium.v1.ResultsService"
_RECORD = "/podium.v1.RecordingService/Record"
_EXPERIMENT, _WRITTEN = "bench/scaling", "bench/writes"
_CALLS, _SLOW_CALLS, _ARMS_READ = 2_000, 7, 20_000
_PANELS = {
    "milliseconds, p50": (
        "echo in C++",
        "Eval",
        "Score",
        "Rank, first 10",
        "Rank by group",
        "Record, 1 row",
        "Record, 100 rows",
    ),
    "start to first answer, s": ("start",),
    "server memory, MiB": ("memory",),
    "bytes on disk, each row": ("disk",),
}


def main() -> None:
    """Measures experiments with 100 arms, 1,000 arms and so on, up to the number of --arms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=100_000, help="the largest experiment")
    parser.add_argument("--plot", type=Path, default=Path("docs/scaling.png"))
    arguments = parser.parse_args()
    sizes = [10**power for power in range(2, 8) if 10**power <= arguments.arms]
    seen: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, echo_server([_ECHO]) as echo:
        for size in sizes:
            for name, figure in _measure(Path(folder) / f"{size}.db", size, echo).items():
                seen[name].append(figure)
    print(_table(sizes, seen))
    _plot(sizes, seen, arguments.plot)


def _measure(path: Path, arms: int, echo: str) -> dict[str, float]:
    """Returns all figures of a new store with one experiment of `arms` arms."""
    asyncio.run(fill_experiments(path, {_EXPERIMENT: arms}))
    figures = {"disk": path.stat().st_size / arms / ROWS_PER_ARM}
    begin = time.perf_counter()
    server = RunningServer(f"sqlite:///{path}", ["--log-level", "error", "--answer-cache", "0"])
    with grpc.insecure_channel(server.address) as channel, grpc.insecure_channel(echo) as base:
        score = asking(channel, f"{_READS}/Score")
        check_score(0, score(score_request(_EXPERIMENT, 0), wait_for_ready=True))
        figures["start"] = time.perf_counter() - begin
        figures |= _reads(channel, base, arms)
        for arm in range(min(arms, _ARMS_READ)):
            score(score_request(_EXPERIMENT, arm))
        figures["memory"] = memory_mib(server.process.pid)
        figures |= _writes(asking(channel, _RECORD))
    server.stop()
    path.unlink()
    return figures


def _reads(channel: grpc.Channel, base: grpc.Channel, arms: int) -> dict[str, float]:
    """Returns the milliseconds of each kind of read, and of a call to the echo server."""
    rank = asking(channel, f"{_READS}/Rank")
    first, groups = rank_request(_EXPERIMENT), rank_request(_EXPERIMENT, by_group=True)
    check_rank(arms, rank(first))
    chosen = [random.randrange(arms) for _ in range(500)]
    evals = [eval_request(_EXPERIMENT, arm) for arm in chosen]
    times = alternate(
        {
            "echo in C++": (asking(base, _ECHO_CALL), evals),
            "Eval": (asking(channel, f"{_READS}/Eval"), evals),
            "Score": (
                asking(channel, f"{_READS}/Score"),
                [score_request(_EXPERIMENT, arm) for arm in chosen],
            ),
            "Rank, first 10": (rank, [first]),
        },
        _CALLS,
    ) | alternate({"Rank by group": (rank, [groups])}, _SLOW_CALLS)
    return {name: 1e3 * seconds for name, seconds in times.items()}


def _writes(record: Ask) -> dict[str, float]:
    """Returns the milliseconds of calls of 1 row and of 100 rows. Each call waits for the disk."""
    for call in start_arms(_WRITTEN, 2):
        record(call.SerializeToString())
    figures = {}
    for writer, (rows, name) in enumerate(((1, "Record, 1 row"), (100, "Record, 100 rows"))):
        times = []
        for request in itertools.islice(row_calls(_WRITTEN, writer, rows), 200):
            begin = time.perf_counter()
            record(request)
            times.append(time.perf_counter() - begin)
        figures[name] = 1e3 * median(times)
    return figures


def _table(sizes: list[int], seen: dict[str, list[float]]) -> str:
    """Returns the figures in Markdown."""
    lines = ["| | " + " | ".join(f"{size:,} arms" for size in sizes) + " |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for unit, names in _PANELS.items():
        for name in names:
            figures = " | ".join(f"{figure:,.3g}" for figure in seen[name])
            lines.append(f"| {name} ({unit}) | {figures} |")
    return "\n".join(lines)


def _plot(sizes: list[int], seen: dict[str, list[float]], path: Path) -> None:
    """Draws a panel for each unit."""
    figure, panels = plt.subplots(
        1, len(_PANELS), figsize=(13, 4), width_ratios=[2.2, 1, 1, 1], layout="constrained"
    )
    rows = [size * ROWS_PER_ARM for size in sizes]
    for panel, (unit, names) in zip(panels, _PANELS.items(), strict=True):
        for name in names:
            panel.plot(rows, seen[name], marker="o", label=name)
        panel.set(xscale="log", xlabel="rows", title=unit)
        panel.grid(alpha=0.3)
        if len(names) == 1:
            panel.set_ylim(0, 1.1 * max(seen[name]))
    panels[0].set_yscale("log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside left center")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
