"""Measures Eval and Score, compared with an echo server on the same stack."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import grpc
import podium
from data import (
    LARGE,
    LARGE_ARMS,
    SMALL,
    SMALL_ARMS,
    check_eval,
    check_score,
    eval_request,
    score_request,
)
from figures import Figure
from servers import Ask, asking
from wire import Load, drive

__all__ = ["alternate", "latency", "scaling", "throughput"]

_CONNECTIONS = 16
_SLICE_SECONDS = 0.5
_CALLS_PER_CHECK = 100
"""The number of calls after which one answer is checked."""
_ARMS = 1_024
"""The number of arms whose rows are read.

A busy experiment has about as many arms. Their rows fit into memory, so few reads wait for the
disk.
"""
_ECHO = "/bench.Echo/Echo"
_EVAL = "/podium.v1.ResultsService/Eval"
_SCORE = "/podium.v1.ResultsService/Score"


class _Question(NamedTuple):
    name: str
    path: str
    request: Callable[[str, int], bytes]
    check: Callable[[int, bytes], None]


_QUESTIONS = (
    _Question("Eval", _EVAL, eval_request, check_eval),
    _Question("Score", _SCORE, score_request, check_score),
)


def throughput(
    podium_address: str, echo: str, *, how: str, target: float, slices: int
) -> list[Figure]:
    """Measures calls per second of Podium and the echo server, alternating in short slices."""
    drawn = random.sample(range(LARGE_ARMS), _ARMS)
    arms = [drawn[connection::_CONNECTIONS] for connection in range(_CONNECTIONS)]
    return [
        _throughput(question, podium_address, echo, arms, how, target, slices)
        for question in _QUESTIONS
    ]


def _throughput(
    question: _Question,
    address: str,
    echo: str,
    arms: list[list[int]],
    how: str,
    target: float,
    slices: int,
) -> Figure:
    bodies = [[question.request(LARGE, arm) for arm in chosen] for chosen in arms]

    def load_on(server: str, path: str) -> Load:
        streams: list[Iterator[bytes]] = list(map(itertools.cycle, bodies))
        return drive(server, path, streams, _SLICE_SECONDS, keep_every=_CALLS_PER_CHECK)

    ratios, rates, busy = [], [], []
    for _ in range(slices):
        base, load = load_on(echo, _ECHO), load_on(address, question.path)
        _check_answers(load.answers, arms, question)
        ratios.append(load.rate / base.rate)
        rates.append(load.rate)
        busy.append(max(load.busy, base.busy))
    what = f"{question.name}, {how}: throughput against the echo, {_CONNECTIONS} connections"
    seen = f"{median(ratios):.2f} ({median(rates):,.0f}/s, generator {max(busy):.0%} busy)"
    return Figure(what, seen, f">= {target}", median(ratios) >= target)


def _check_answers(
    answers: list[tuple[int, int, bytes]], arms: list[list[int]], question: _Question
) -> None:
    if not answers:
        raise RuntimeError("no answer was looked at")
    for connection, call, answer in answers:
        chosen = arms[connection]
        question.check(chosen[call % len(chosen)], answer)


def latency(podium_address: str, echo: str, *, how: str, target: float, calls: int) -> list[Figure]:
    """Measures the median time of calls to Podium and the echo server, and of `podium.Client`."""
    with grpc.insecure_channel(echo) as base, grpc.insecure_channel(podium_address) as channel:
        figures = []
        for question in _QUESTIONS:
            bodies = [question.request(LARGE, random.randrange(LARGE_ARMS)) for _ in range(500)]
            asked = alternate(
                {
                    "echo": (asking(base, _ECHO), bodies),
                    "podium": (asking(channel, question.path), bodies),
                },
                calls,
            )
            ratio = asked["podium"] / asked["echo"]
            what = f"{question.name}, {how}: p50 of a sync stub against the echo"
            seen = f"{ratio:.2f} ({asked['podium'] * 1e3:.2f} ms)"
            figures.append(Figure(what, seen, f"<= {target}", ratio <= target))
    return [*figures, _client_latency(podium_address, how, calls)]


def _client_latency(address: str, how: str, calls: int) -> Figure:
    with podium.Client(address) as client:
        arms = [client.arm(LARGE, f"arm{random.randrange(LARGE_ARMS)}") for _ in range(500)]
        times = []
        for arm in itertools.islice(itertools.cycle(arms), calls):
            begin = time.perf_counter()
            arm.score("test.pass_rate")
            times.append(time.perf_counter() - begin)
    return Figure(
        f"score() of podium.Client, {how}: p50", f"{median(times) * 1e3:.2f} ms", "", None
    )


def scaling(podium_address: str, *, calls: int) -> list[Figure]:
    """Measures Score in an experiment with 100 arms, and in one with 100,000."""
    with grpc.insecure_channel(podium_address) as channel:
        score = asking(channel, _SCORE)
        sizes = {SMALL: SMALL_ARMS, LARGE: LARGE_ARMS}
        asked = alternate(
            {
                name: (score, [score_request(name, random.randrange(arms)) for _ in range(500)])
                for name, arms in sizes.items()
            },
            calls,
        )
    ratio = asked[LARGE] / asked[SMALL]
    what = f"Score: p50 at {LARGE_ARMS:,} arms against {SMALL_ARMS}"
    return [Figure(what, f"{ratio:.2f}", "<= 1.1", ratio <= 1.1)]


def alternate(asked: dict[str, tuple[Ask, list[bytes]]], calls: int) -> dict[str, float]:
    """Returns the median seconds of each kind of call.

    In each round, one call of each kind is made, in random order. In a fixed order, each kind would
    always find the CPU caches as the kind before it has left them.
    """
    times: dict[str, list[float]] = {name: [] for name in asked}
    for call in range(calls):
        for name in random.sample(list(asked), len(asked)):
            method, bodies = asked[name]
            body = bodies[call % len(bodies)]
            begin = time.perf_counter()
            method(body)
            times[name].append(time.perf_counter() - begin)
    return {name: median(seen[calls // 10 :]) for name, seen in times.items()}
