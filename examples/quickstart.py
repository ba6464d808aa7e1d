"""Records an arm and asks about it. Start a server first: `podium serve`."""

import podium

with podium.Client() as client:  # the address in PODIUM_ADDRESS, or localhost:50051
    experiment = client.experiment("quickstart")
    experiment.declare(hypothesis="Practice helps.", success_metric="test.accuracy")

    config = podium.RunConfig(name="first_arm", seed=0)
    with experiment.start_arm(config, restart=True) as run:  # restart: this script may run again
        for step in (0, 50, 100):
            run.log({"loss": 1 / (1 + step)})
            run.log_eval("val", {"accuracy": 0.5 + step / 400}, step=step)
        run.log_eval("test", {"accuracy": 0.72}, tags=["test"])

    arm = client.arm("quickstart", "first_arm")
    print("score:", arm.score("test.accuracy"))
    print("the latest val:", arm.eval("val"))
    print("val at step 0:", arm.eval("val", step=0))
    print("val at step 7:", arm.eval("val", step=7))

    snapshot = arm.get()  # the arm with all its rows; its eval() and score() make no calls
    print(snapshot.name, snapshot.status, [row.step for row in snapshot.evals])
