"""Trains in this process, and measures the time of each `log_eval`.

    python benchmarks/trainer.py EVENTS PAUSE BUSY

Prints the median and the 99th percentile in microseconds, as JSON. Environment variables, such as
PODIUM_ADDRESS, determine where the results are recorded.
"""

import itertools
import json
import sys
import threading
import time

import podium

__all__ = ["main"]


def main(events: int, pause: float, *, busy: bool) -> None:
    """Calls `log_eval` `events` times. Prints the median and the 99th percentile of the times."""
    with (
        podium.record("benchmark", close_timeout=0, strict=True) as experiment,
        experiment.start_arm(podium.RunConfig("arm")) as arm,
    ):
        arm.log_eval("val", {"pass_rate": 0.5, "loss": 0.1}, step=-1, tags=["val"])
        # Waits until the sender delivers or, without a server, has noticed that none answers.
        arm.flush(3)
        if busy:
            threading.Thread(target=_spin, daemon=True).start()
        taken = sorted(_timed(arm, step, pause) for step in range(events))
        print(json.dumps([taken[events // 2] / 1e3, taken[events * 99 // 100] / 1e3]))


def _timed(arm: podium.ArmRecording, step: int, pause: float) -> int:
    if pause:
        time.sleep(pause)
    metrics = {"pass_rate": step / 7, "loss": 1 / (step + 1)}
    begin = time.perf_counter_ns()
    arm.log_eval("val", metrics, step=step, tags=["val"])
    return time.perf_counter_ns() - begin


def _spin() -> None:
    """Computes without a pause, so that the thread never releases the GIL by itself."""
    for _ in itertools.count():
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), busy=sys.argv[3] == "busy")
