"""Measures the top 10 of small and large rankings, and a matrix of scores."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import grpc
import podium
from data import (
    LARGE,
    LARGE_ARMS,
    MATRIX,
    MATRIX_ARMS,
    MATRIX_METRICS,
    MEDIUM,
    MEDIUM_ARMS,
    check_rank,
    check_scores,
    rank_request,
    scores_request,
)
from figures import Figure
from reads import alternate
from servers import asking

__all__ = ["first_places", "groups", "matrix"]

_ECHO = "/bench.Echo/Echo"
_RANK = "/podium.v1.ResultsService/Rank"
_SCORES = "/podium.v1.ResultsService/Scores"
_WRITES = 100
"""The rows per second that a running arm records during the second measurement."""


def first_places(
    address: str, echo: str, *, how: str, target: float | None, calls: int
) -> list[Figure]:
    """Measures the top 10, without writes and while running arms record evals.

    A server caches a ranking until a completed arm changes. If the cache is off, it reads the
    ranking from the store. `target` is the greatest allowed multiple of the echo server's time.
    """
    figures = []
    with grpc.insecure_channel(echo) as base, grpc.insecure_channel(address) as channel:
        rank = asking(channel, _RANK)
        few, many = rank_request(MEDIUM), rank_request(LARGE)
        check_rank(MEDIUM_ARMS, rank(few))
        check_rank(LARGE_ARMS, rank(many))
        kinds = {
            "echo": (asking(base, _ECHO), [many]),
            MEDIUM: (rank, [few]),
            LARGE: (rank, [many]),
        }
        figures += _compared(how, target, alternate(kinds, calls))
        with _recording(address):
            how += f", {_WRITES} rows/s recorded"
            figures += _compared(how, target, alternate(kinds, calls))
    return figures


def _compared(how: str, target: float | None, asked: dict[str, float]) -> list[Figure]:
    growth, ratio = asked[LARGE] / asked[MEDIUM], asked[LARGE] / asked["echo"]
    what = f"Rank, top 10, {how}: p50 at {LARGE_ARMS:,} arms against"
    seen = f"{ratio:.2f} ({asked[LARGE] * 1e3:.2f} ms)"
    return [
        Figure(f"{what} {MEDIUM_ARMS:,}", f"{growth:.2f}", "<= 1.1", growth <= 1.1),
        Figure(
            f"{what} the echo",
            seen,
            "" if target is None else f"<= {target}",
            None if target is None else ratio <= target,
        ),
    ]


@contextmanager
def _recording(address: str) -> Iterator[None]:
    """Records in-loop rows of an arm of the large experiment while the block runs."""
    done = threading.Event()

    def record() -> None:
        with podium.Client(address) as client:
            run = client.experiment(LARGE).start_arm(podium.RunConfig("in_training"))
            for step in range(10**9):
                if done.wait(1 / _WRITES):
                    return
                run.log_eval("val", {"pass_rate": 0.5, "loss": 1.0}, step=step)

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def groups(address: str, *, calls: int) -> list[Figure]:
    """Measures a ranking by group, which reads every arm."""
    figures = []
    with grpc.insecure_channel(address) as channel:
        rank = asking(channel, _RANK)
        for name, arms in ((MEDIUM, MEDIUM_ARMS), (LARGE, LARGE_ARMS)):
            request = rank_request(name, by_group=True)
            rank(request)
            asked = alternate({name: (rank, [request])}, max(5, calls * MEDIUM_ARMS // arms // 50))
            what = f"Rank by group, top 10 of {arms:,} arms in groups of 5: p50"
            target, met = ("<= 250 ms", asked[name] <= 0.25) if name == LARGE else ("", None)
            figures.append(Figure(what, f"{asked[name] * 1e3:.1f} ms", target, met))
    return figures


def matrix(address: str, *, how: str, target: float | None, calls: int) -> list[Figure]:
    """Measures a call that reads every score of an experiment. `target` is in seconds."""
    with grpc.insecure_channel(address) as channel, podium.Client(address) as client:
        scores, request = asking(channel, _SCORES), scores_request()
        check_scores(scores(request))
        seconds = alternate({MATRIX: (scores, [request])}, max(20, calls // 10))[MATRIX]
        experiment = client.experiment(MATRIX)
        times = []
        for _ in range(max(20, calls // 50)):
            begin = time.perf_counter()
            experiment.scores(MATRIX_METRICS)
            times.append(time.perf_counter() - begin)
    what = f"Scores, {MATRIX_ARMS} arms by {len(MATRIX_METRICS)} metrics, {how}: p50"
    in_client = f"scores() of podium.Client, {how}: p50"
    return [
        Figure(
            what,
            f"{seconds * 1e3:.1f} ms",
            "" if target is None else f"<= {target * 1e3:.0f} ms",
            None if target is None else seconds <= target,
        ),
        Figure(in_client, f"{median(times) * 1e3:.1f} ms", "", None),
    ]
