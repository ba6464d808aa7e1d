"""Senders that end as if killed by SIGKILL, at a given step.

    echo STEP FOLDER | python -m tests.client.sender.dying

Steps are counted from 0. Each step is the moment before or after a sender writes something to disk
or sends a call. A sender that has fewer steps ends normally. Each line of the input starts a
sender, and its exit code is a line of the output. The senders are forks of one process, which has
already imported gRPC, so they start quickly. That process itself never uses gRPC.
"""

import os
import shutil
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from podium import AsyncClient
from podium._outbox import StreamReader, files
from podium._sender.__main__ import main

__all__ = ["KILLED"]

KILLED = 57
"""The exit code of a sender that ended at its step."""

_WRITING = ("reject", "note_delivered", "drop_delivered", "remove")


def _dies_around(step: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        step()
        result = function(*arguments, **named)
        step()
        return result

    return called


def _dies_around_calls(step: Callable[[], None]) -> None:
    record = AsyncClient.record

    async def called(*arguments: Any, **named: Any) -> Any:
        step()
        result = await record(*arguments, **named)
        step()
        return result

    AsyncClient.record = called  # type: ignore[method-assign]  # what dies is the real one


def _plant(last: int) -> None:
    steps = count()

    def step() -> None:
        if next(steps) == last:
            os._exit(KILLED)

    for name in _WRITING:
        setattr(StreamReader, name, _dies_around(step, getattr(StreamReader, name)))
    for module, name in ((shutil, "rmtree"), (os, "fsync"), (files, "write_json")):
        setattr(module, name, _dies_around(step, getattr(module, name)))
    _dies_around_calls(step)


def _run(step: int, folder: str) -> int:
    child = os.fork()
    if child == 0:
        _plant(step)
        os._exit(main([folder, "--idle-seconds", "0"]))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        number, _, place = line.strip().partition(" ")
        print(_run(int(number), place), flush=True)  # noqa: T201 - it is asked to
