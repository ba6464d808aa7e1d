"""Results that the tests of the page show."""

import podium

__all__ = ["UGLY", "record_sweep", "record_ugly"]

_SCORES = {("small", 0): 0.7, ("small", 1): 0.702, ("wide", 0): 0.9, ("wide", 1): 0.902}
_ATTACK = "<img src=x onerror=window.attacked=1>"
UGLY = [
    _ATTACK,
    "<script>window.attacked=1</script>",
    "javascript:window.attacked=1",
    "\u202eevil",
    "ذراع",
    "n" * 256,
]
"""Names that attack the page, or its layout."""


def record_sweep(client: podium.Client) -> None:
    """Records two groups with two completed arms each. One group also has an arm that failed."""
    experiment = client.experiment("nlp/sweep")
    experiment.declare(
        success_metric="test.acc", direction="maximize", hypothesis="Wider is better."
    )
    for (group, seed), score in _SCORES.items():
        config = _config(f"{group}_{seed}", 8 if group == "small" else 64, seed)
        curve = [
            podium.EvalResult("val", metrics={"acc": score - 0.2 + s / 500}, step=s)
            for s in (0, 50, 100)
        ]
        test = podium.EvalResult(
            "test", metrics={"acc": score}, tags=["test"], breakdowns={"math": 0.5, "law": 0.25}
        )
        arm = podium.ArmResult(
            config.name,
            config,
            "completed",
            evals=[*curve, test],
            metrics={"loss": 1 - score},
            group_name=group,
            run_result=podium.RunResult(
                run_id="r1",
                status="completed",
                artifacts={"report": "https://example.org/r", "weights": "s3://b/w"},
            ),
        )
        experiment.record_arm(arm)
    config = _config("small_2", 8, 2)
    experiment.record_arm(
        podium.ArmResult(
            "small_2", config, "failed", error="RuntimeError: diverged", group_name="small"
        )
    )


def record_ugly(client: podium.Client) -> None:
    """Records arms in which each text attacks the page or its layout."""
    experiment = client.experiment(f"ugly/{_ATTACK}")
    experiment.declare(success_metric=f"{_ATTACK}.{_ATTACK}", hypothesis=_ATTACK)
    experiment.conclude(_ATTACK)
    for number, name in enumerate(UGLY):
        config = podium.RunConfig(
            name,
            seed=number,
            tags=[_ATTACK],
            algorithm=podium.Component(_ATTACK, {_ATTACK: _ATTACK + name}),
        )
        rows = [
            podium.EvalResult(
                _ATTACK,
                metrics={_ATTACK: number / 10},
                tags=[_ATTACK],
                breakdowns={_ATTACK: _ATTACK, "number": 0.5},
            ),
            *(
                podium.EvalResult(_ATTACK, metrics={_ATTACK: step / 7}, step=step)
                for step in range(3)
            ),
        ]
        arm = podium.ArmResult(
            name,
            config,
            "completed",
            evals=rows,
            error=_ATTACK,
            group_name=_ATTACK,
            metrics={_ATTACK: 1.0},
            run_result=podium.RunResult(
                run_id=_ATTACK,
                status="completed",
                artifacts={
                    _ATTACK: f"https://example.org/{_ATTACK}",
                    "js": "javascript:window.attacked=1",
                },
            ),
        )
        experiment.record_arm(arm)


def _config(name: str, width: int, seed: int) -> podium.RunConfig:
    return podium.RunConfig(
        name, seed=seed, algorithm=podium.Component("sft", {"width": width, "lr": 0.1})
    )
