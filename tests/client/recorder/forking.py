"""A training script that starts many processes while it records. Each of them records, too.

    python tests/client/recorder/forking.py METHOD COUNT EXPERIMENT

METHOD is `os.fork` or a start method of multiprocessing. Each of COUNT tasks gets a process of its
own. With a pool, such as `spawn pool`, a few processes share the tasks. Meanwhile, two threads log
without a pause. The script prints a line when all processes have ended without an error.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING

import podium
from podium._recorder import process_outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

__all__ = ["ROWS", "child", "main"]

ROWS = 5
"""The number of rows that each process logs."""
_AT_A_TIME = 8
_SECONDS = 240


def child(arm: podium.ArmRecording, number: int) -> None:
    """Logs `ROWS` eval rows and a metric, then returns, as a worker of a data loader might."""
    for step in range(ROWS):
        arm.log_eval(f"child{number}", {"n": step}, step=step)
    arm.log({f"child{number}": number})


def main(method: str, count: int, experiment: str) -> None:
    """Records an arm in two threads, and starts `count` processes or tasks that record it, too."""
    process_outbox._FIRST_PROGRESS_SECONDS = _SECONDS  # on a busy machine
    with (
        podium.record(experiment, close_timeout=_SECONDS, strict=True) as recording,
        recording.start_arm(podium.RunConfig("arm")) as arm,
    ):
        stop = threading.Event()
        busy = [threading.Thread(target=_log, args=(arm, n, stop)) for n in range(2)]
        for thread in busy:
            thread.start()
        try:
            _begin(method, arm, count)
        finally:
            # In a forked child these threads do not run, and one may have held the lock of `stop`.
            if all(thread.is_alive() for thread in busy):
                stop.set()
                for thread in busy:
                    thread.join()
    print(f"{count} processes ended well", flush=True)  # noqa: T201 - for the process that started this


def _log(arm: podium.ArmRecording, number: int, stop: threading.Event) -> None:
    step = 0
    while not stop.wait(0.0005):
        arm.log_eval(f"parent{number}", {"n": step}, step=step)
        step += 1
    arm.log({f"parent{number}": step})


def _begin(method: str, arm: podium.ArmRecording, count: int) -> None:
    kind, _, pool = method.partition(" ")
    if kind == "os.fork":
        _fork(arm, count)
    elif pool:
        with multiprocessing.get_context(kind).Pool(_AT_A_TIME) as workers:
            workers.starmap(child, [(arm, number) for number in range(count)])
    else:
        _start(kind, arm, count)


def _fork(arm: podium.ArmRecording, count: int) -> None:
    """Forks with `os.fork`, as some libraries do. Most children end with `os._exit`."""
    for begin in range(0, count, _AT_A_TIME):
        numbers = range(begin, min(begin + _AT_A_TIME, count))
        children = [_forked(arm, number) for number in numbers]
        for pid in children:
            _, status = os.waitpid(pid, 0)
            if status:
                raise RuntimeError(f"child {pid} ended with {os.waitstatus_to_exitcode(status)}")


def _forked(arm: podium.ArmRecording, number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.alarm(_SECONDS)
        child(arm, number)
        if number % 10 == 0:
            sys.exit(0)
    except SystemExit:
        # Ends as an ordinary program does, so the functions that run at its end are called.
        raise
    except BaseException:  # noqa: BLE001 - the parent reads the status
        os._exit(1)
    os._exit(0)


def _start(method: str, arm: podium.ArmRecording, count: int) -> None:
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["podium", "podium._recorder"])
    begin: Callable[..., BaseProcess] = context.Process  # type: ignore[attr-defined]
    waiting = [begin(target=child, args=(arm, number)) for number in range(count)]
    running: list[BaseProcess] = []
    while waiting or running:
        while waiting and len(running) < _AT_A_TIME:
            running.append(waiting.pop())
            running[-1].start()
        process = running.pop(random.randrange(len(running)))  # noqa: S311 - any of them
        process.join(_SECONDS)
        if process.exitcode != 0:
            raise RuntimeError(f"{process.name} ended with {process.exitcode}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
