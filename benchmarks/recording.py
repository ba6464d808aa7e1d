"""Measures the time that recording takes in the thread that trains."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from figures import Figure
from podium._outbox import outboxes
from podium._outbox.sender_state import SenderState

__all__ = ["NOBODY", "trainer_side"]

_TRAINER = Path(__file__).parent / "trainer.py"
NOBODY = "127.0.0.1:1"
"""An address at which no server answers."""


class _Load(NamedTuple):
    what: str
    events: int
    pause: float
    busy: bool
    p50: int
    p99: int


_LOADS = (
    _Load("tight loop", 20_000, 0.0, busy=False, p50=12, p99=50),
    _Load("every 2 ms", 1_000, 0.002, busy=False, p50=100, p99=250),
    _Load("beside a busy Python thread", 20_000, 0.0, busy=True, p50=20, p99=100),
)


def trainer_side(addresses: dict[str, str], *, rounds: int) -> list[Figure]:
    """Measures the time of each `log_eval` after the first one.

    `addresses` maps the description of a server in the figures to the server's address.
    """
    return [
        _figure(load, name, address, rounds)
        for name, address in addresses.items()
        for load in _LOADS
    ]


def _figure(load: _Load, name: str, address: str, rounds: int) -> Figure:
    seen = [_train(load, address) for _ in range(rounds)]
    p50, p99 = (median(round_[place] for round_ in seen) for place in range(2))
    return Figure(
        f"log_eval, p50 / p99, {load.what}, {name}",
        f"{p50:.0f} / {p99:.0f} µs",
        f"<= {load.p50} / {load.p99} µs",
        p50 <= load.p50 and p99 <= load.p99,
    )


def _train(load: _Load, address: str) -> list[float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outbox:
        command = [sys.executable, str(_TRAINER), str(load.events), str(load.pause)]
        trained = subprocess.run(
            [*command, "busy" if load.busy else "alone"],
            env={**os.environ, "PODIUM_ADDRESS": address, "PODIUM_OUTBOX": outbox},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        _end_sender(Path(outbox))
    times: list[float] = json.loads(trained.stdout)
    return times


def _end_sender(root: Path) -> None:
    """Ends the sender, which would otherwise still deliver events during the next round."""
    for outbox in outboxes(root):
        state = SenderState.read(outbox)
        if state is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(state.pid, signal.SIGTERM)
