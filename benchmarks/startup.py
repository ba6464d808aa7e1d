"""Measures the time of `import podium`, and the start and the memory of a server."""

import subprocess
import sys
import time
from statistics import median

import grpc
from data import LARGE, LARGE_ARMS, ROWS_PER_ARM, check_eval, eval_request
from figures import Figure
from podium_server.testing import RunningServer
from servers import asking, memory_mib

__all__ = ["imports", "memory", "start"]

_EVAL = "/podium.v1.ResultsService/Eval"
_HEAVY = "import podium, sys; print([m for m in ('grpc', 'google.protobuf') if m in sys.modules])"


def imports(*, rounds: int) -> list[Figure]:
    """Measures the time of `import podium`, and whether it loads grpc or protobuf."""
    bare, full = [], []
    for _ in range(rounds):
        bare.append(_seconds("pass"))
        full.append(_seconds("import podium"))
    cost = (median(full) - median(bare)) * 1e3
    loaded = subprocess.run(
        [sys.executable, "-c", _HEAVY], capture_output=True, text=True, check=True
    ).stdout.strip()
    return [
        Figure("import podium over a bare interpreter", f"{cost:.0f} ms", "<= 15 ms", cost <= 15),
        Figure("grpc or protobuf loaded by import podium", loaded, "[]", loaded == "[]"),
    ]


def _seconds(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def start(name: str, store: str, *, rounds: int) -> Figure:
    """Measures the time from the start of the server process until its first answer."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        server = RunningServer(store, ["--log-level", "error"])
        with grpc.insecure_channel(server.address) as channel:
            try:
                asking(channel, _EVAL)(eval_request("none", 0), wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
        times.append(time.perf_counter() - begin)
        server.stop()
    seen = f"{median(times):.2f} s"
    return Figure(f"start to first answer, {name}", seen, "<= 0.3 s", median(times) <= 0.3)


def memory(server: RunningServer) -> Figure:
    """Measures the server's memory after it has read many of a million stored rows."""
    with grpc.insecure_channel(server.address) as channel:
        ask = asking(channel, _EVAL)
        for arm in range(0, LARGE_ARMS, 5):
            check_eval(arm, ask(eval_request(LARGE, arm)))
    used = memory_mib(server.process.pid)
    what = f"server memory with {LARGE_ARMS * ROWS_PER_ARM:,} rows stored"
    return Figure(what, f"{used:.0f} MB", "<= 80 MB", used <= 80)
