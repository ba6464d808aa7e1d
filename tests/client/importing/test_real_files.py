"""Tests of imports of real files of other tools. Expected values were read from them by hand.

The files are not part of the project. PODIUM_IMPORT_DATA names their folder.
"""

import os
from pathlib import Path

import podium
import pytest
from podium.importing import ImportReport, import_results

_HERE = Path(__file__).resolve().parents[3]
_DATA = Path(os.environ.get("PODIUM_IMPORT_DATA", _HERE.parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not _DATA.is_dir(),
    reason=f"the real files are not here: there is no {_DATA} (PODIUM_IMPORT_DATA names it)",
)


def _imported(client: podium.Client, folder: str) -> ImportReport:
    """Imports a folder twice, and checks that the second import changes nothing."""
    report = import_results(client, _DATA / folder)
    again = import_results(client, _DATA / folder)
    assert (again.recorded, again.unchanged) == (0, report.recorded)
    assert again.not_imported == report.not_imported
    return report


def _wrong(report: ImportReport) -> list[str]:
    return [item.source.removeprefix(f"{_DATA}/") for item in report.not_imported if item.is_wrong]


def test_evsys(client: podium.Client) -> None:
    """15 experiments with 35 arms are imported, from stores, logs and run folders."""
    report = _imported(client, "evsys")
    assert (len(report.experiments), report.recorded, _wrong(report)) == (15, 35, [])
    sweep = client.experiment("rank_sweep-c42530b6").get()
    assert sweep.status == "failed"
    assert sweep.hypothesis is not None
    assert "\u2192" in sweep.hypothesis
    failed = client.arm("rank_sweep-c42530b6", "base__lora_rank4").get()
    assert failed.error == "RuntimeError: boom on arm 'base__lora_rank4'"
    assert client.arm("bench_sweep-49ef6a7d", "base__lora_rank1").score("eval.pass_rate") == 0.5
    logged = client.arm("bench_sweep-2026-06-25_00-31-43", "base__lora_rank4")
    assert logged.score("benchmark.mean_reward") == 1.0
    for name in ("bench_sweep-49ef6a7d", "bench_sweep-2026-06-25_00-31-43"):
        ranking = client.experiment(name).rank()
        assert [(arm.arm, arm.score) for arm in ranking.arms] == [
            ("base__lora_rank4", 1.0),
            ("base__lora_rank1", 0.5),
        ]
    seeds = list(client.experiment("x-7d975dd4").arms(group_name="base"))
    assert [arm.name for arm in seeds] == ["base__s100", "base__s101", "base__s102"]
    run = client.arm("example_03_matrix", "sweep__e1__r4").get()
    assert run.metrics["train/final_loss"] == 0.11435014706879487
    assert run.run_config.algorithm == podium.Component(
        "mock_sft", {"num_epochs": 1, "batch_size": 1, "lora_rank": 4}
    )


def test_hf_trainer(client: podium.Client) -> None:
    """Four training runs are imported. One of them has an earlier state beside it."""
    report = _imported(client, "hf_trainer")
    assert (report.recorded, len(report.not_imported), _wrong(report)) == (4, 1, [])
    experiment = client.experiment("hf_trainer")
    whisper = experiment.arm("P4P4N1CK__whisper-large-v2-japanese-5k-steps").get()
    assert whisper.status == "completed"
    assert whisper.metrics["total_flos"] == 5.27162132754432e20
    assert whisper.score("eval.wer") == 0.7449365679946583
    assert whisper.train_seconds == 77350.9963
    unfinished = experiment.arm(
        "Franmartin09__Requirement-Classification-Fine-Tuning/results"
    ).get()
    assert (unfinished.status, len(unfinished.evals)) == ("running", 45)
    first = experiment.arm("aigoncharov__trainer_state_viz").eval("g0", step=0)
    assert first is not None
    assert (first.metrics["accuracy"], first.eval_seconds) == (0.7082294264339152, 5.7095)
    sets = {row.name for row in experiment.arm("aigoncharov__trainer_state_viz").get().evals}
    assert sets == {"g0", "g1", "g2", "g3", "g4", "g5"}


def test_lm_eval(client: podium.Client) -> None:
    """Seven arms are imported. The files have filters, N/A, NaN, Infinity, and old formats."""
    report = _imported(client, "lm_eval")
    assert (report.recorded, report.not_imported) == (7, [])
    arms = {arm.name.partition("@")[0]: arm.name for arm in client.experiment("lm_eval").arms()}
    experiment = client.experiment("lm_eval")
    gemma = experiment.arm(arms["google/gemma-2b"]).get()
    assert len(gemma.evals) == 9
    llama = experiment.arm(arms["meta-llama/Meta-Llama-3-8B-Instruct"])
    assert llama.score("gsm8k_cot_llama.exact_match,strict-match") == 0.7725549658832449
    assert (
        llama.score("gsm8k_cot_llama.exact_match_stderr,flexible-extract") == 0.011449986902435323
    )
    assert experiment.arm(arms["bigscience/bloom-1b1"]).score("xcopa_id.acc") == 0.648
    assert experiment.arm(arms["gpt-4o-mini"]).score("polymer_tg_prediction.mae") == float("inf")
    group = gemma.eval("global_mmlu_sw")
    assert group is not None
    assert len(group.breakdowns) == 6


def test_mlflow(client: podium.Client) -> None:
    """Eight runs of two stores are imported.

    Of the five runs in one store, four have the same score. Of the three in the other, two failed.
    """
    report = _imported(client, "mlflow")
    assert (sorted(report.experiments), report.recorded, report.not_imported) == (
        ["DQN", "mlflow-demo"],
        8,
        [],
    )
    demo = client.experiment("mlflow-demo")
    scores = sorted(demo.arm(arm.name).score("accuracy") or 0.0 for arm in demo.arms())
    assert scores == [0.6333333333333333] + [0.9666666666666667] * 4
    dqn = client.experiment("DQN")
    assert len(list(dqn.arms(status="failed"))) == 2
    run = dqn.arm("qb-770cc011").get()
    assert run.metrics["rollout/exploration rate"] == 0.1
    assert run.score("eval.mean_reward") == -200.721436
    assert run.run_config.algorithm is not None
    assert run.run_config.algorithm.params["batch_size"] == 64


def test_inspect_ai(client: podium.Client) -> None:
    """Of 13 files, nine are imported as arms, one of them without scores.

    Three others are copies, and one has an unknown version.
    """
    report = _imported(client, "inspect_ai")
    assert (report.recorded, len(report.not_imported)) == (9, 5)
    assert _wrong(report) == ["inspect_ai/tests/log/test_eval_log/log_version_3.txt"]
    experiment = client.experiment("inspect_ai")
    groups = {arm.name: arm.group_name for arm in experiment.arms()}
    repeated = [group for name, group in groups.items() if name.startswith("ollama/gemma3@")]
    assert (len(repeated), len(set(repeated))) == (2, 1)
    valid = experiment.arm(next(name for name in groups if name.startswith("openai/gpt-4@")))
    assert valid.score("wikipedia.accuracy") == 1.0
    unscored = experiment.arm("popularity@openai/gpt-4o-mini-nnS4q9qs-dPiJifoW").get()
    assert (unscored.status, unscored.evals) == ("completed", [])


def test_wandb(client: podium.Client) -> None:
    """One run is imported, which logged nothing and is completed."""
    report = _imported(client, "wandb")
    assert (report.recorded, report.not_imported) == (1, [])
    arm = client.arm("code-toad", "g9dvvkua").get()
    assert (arm.status, arm.metrics, arm.evals) == ("completed", {}, [])


def test_tensorboard(client: podium.Client) -> None:
    """A run of an old version of Keras is imported, with an in-loop row for each of 17 epochs."""
    report = _imported(client, "tensorboard")
    assert (report.recorded, report.not_imported) == (1, [])
    arm = client.arm("tensorboard", "assets").get()
    assert arm.metrics == {
        "batch_loss": 2.932505594799295e-05,
        "batch_acc": 1.0,
        "epoch_acc": 1.0,
        "epoch_loss": 2.932505594799295e-05,
    }
    assert [row.step for row in arm.evals] == [*range(17), None]
    assert arm.evals[0].metrics == {"acc": 1.0, "loss": 2.95634672511369e-05}
