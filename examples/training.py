"""Records a training run, even if no server answers. The results are delivered when one does."""

import math
import sys
import time

import podium

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 500
with podium.record("training", success_metric="test.accuracy") as experiment:
    config = podium.RunConfig(name="long_run", seed=0)
    with experiment.start_arm(config, restart=True) as arm:  # restart: this script may run again
        for step in range(steps):
            time.sleep(0.002)  # the work of a step
            accuracy = 1 - math.exp(-step / 200)
            arm.log({"loss": 1 - accuracy})
            with arm.evaluating("val", step=step) as evaluation:
                evaluation.log({"accuracy": accuracy})
            print(step, flush=True)
        arm.log_eval("test", {"accuracy": accuracy}, tags=["test"])
