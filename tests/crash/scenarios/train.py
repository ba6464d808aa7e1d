"""A training script as a user would write it. Tests kill it, stop it, or stop its server.

Each row and each metric has a number `by`, which tells which process recorded it. The script prints
each step after recording it.
"""

import argparse
import os
import signal
import sys
import time

import podium


def main() -> None:
    """Trains arm `a`."""
    given = _arguments()
    real = time.time_ns
    time.time_ns = lambda: real() + given.clock * 10**9
    with podium.record("sweep", success_metric="test.by") as experiment:
        config = podium.RunConfig("a", seed=0)
        with experiment.start_arm(
            config, order=given.order, resume_step=given.resume, restart=given.restart
        ) as arm:
            if given.wide:
                arm.log_eval("wide", {"by": given.by, **{str(key): key for key in range(20)}})
            for step in range(given.first, given.first + given.steps):
                arm.log({"loss": 1 / (1 + step), "by": given.by})
                arm.log_eval("val", {"by": given.by}, step=step, breakdowns={"x": "x" * given.size})
                print(step, flush=True)  # noqa: T201 - the test reads it
                if step == given.die:
                    os.kill(os.getpid(), signal.SIGKILL)
                if step in given.hold:
                    sys.stdin.readline()
                time.sleep(given.pace)
            arm.log_eval("test", {"by": given.by}, tags=["test"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--hold", type=int, nargs="*", default=[], help="waits after these steps")
    parser.add_argument("--wide", action="store_true", help="records a row of 21 metrics first")
    parser.add_argument("--size", type=int, default=0, help="how many bytes a row has beside that")
    parser.add_argument("--die", type=int, help="is killed when this step is recorded")
    parser.add_argument("--clock", type=int, default=0, help="how far its clock is off, in seconds")
    parser.add_argument("--order", type=int)
    parser.add_argument("--resume", type=int)
    parser.add_argument("--restart", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
