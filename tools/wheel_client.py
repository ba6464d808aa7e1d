"""Uses the installed client library with a server. Exits with 1 at the first wrong answer.

Usage: `python -I tools/wheel_client.py ADDRESS`, in the environment to be checked.
"""

import sys

import podium


def _main(address: str) -> None:
    with podium.Client(address) as client:
        experiment = client.experiment("wheel/check")
        experiment.declare(success_metric="test.pass_rate")
        config = podium.RunConfig(name="live", seed=0)
        with experiment.start_arm(config) as run:
            run.log({"loss": 0.25})
            run.log_eval("val", {"pass_rate": 0.5}, step=0, tags=["val"])
            run.log_eval("test", {"pass_rate": 0.75}, tags=["test"])
        arm = client.arm("wheel/check", "live")
        _is(arm.score("test.pass_rate"), 0.75)
        _is(arm.score("loss"), 0.25)
        _is(arm.score("no.such"), None)
        row = arm.eval("val", step=0)
        _is(row.metrics if row else None, {"pass_rate": 0.5})
        _is(arm.eval("val", step=1), None)
        snapshot = arm.get()
        _is(snapshot.status, "completed")
        snapshot.name = "whole"
        experiment.record_arm(snapshot)
        _is(client.arm("wheel/check", "whole").score("test.pass_rate"), 0.75)


def _is(answer: object, expected: object) -> None:
    if answer != expected:
        sys.exit(f"wheel-check: answered {answer!r} instead of {expected!r}")


if __name__ == "__main__":
    _main(sys.argv[1])
