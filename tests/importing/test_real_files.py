"""Real files of other tools, where they lie beside the project; what is expected was read by hand.

They are no part of the project. PODIUM_IMPORT_DATA names their folder.
"""

import os
from pathlib import Path

import podium
import pytest
from podium.importing import ImportReport, import_results

_HERE = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("PODIUM_IMPORT_DATA", _HERE.parent / "shared" / "data"))

pytestmark = pytest.mark.skipif(
    not _DATA.is_dir(),
    reason=f"the real files are not here: there is no {_DATA} (PODIUM_IMPORT_DATA names it)",
)


def _imported(client: podium.Client, folder: str) -> ImportReport:
    """Imports a folder twice: the second time changes nothing."""
    report = import_results(client, _DATA / folder)
    again = import_results(client, _DATA / folder)
    assert (again.recorded, again.unchanged) == (0, report.recorded)
    assert again.left == report.left
    return report


def _wrong(report: ImportReport) -> list[str]:
    return [left.source.removeprefix(f"{_DATA}/") for left in report.left if left.is_wrong]


def test_evsys(client: podium.Client) -> None:
    """11 experiments of the store, 2 of logs, 2 of run folders; 16, 14 and 5 arms."""
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
    seeds = list(client.experiment("x-7d975dd4").arms(group_name="base"))
    assert [arm.name for arm in seeds] == ["base__s100", "base__s101", "base__s102"]
    run = client.arm("example_03_matrix", "sweep__e1__r4").get()
    assert run.metrics["train/final_loss"] == 0.11435014706879487
    assert run.run_config.algorithm == podium.Component(
        "mock_sft", {"num_epochs": 1, "batch_size": 1, "lora_rank": 4}
    )


def test_hf_trainer(client: podium.Client) -> None:
    """Four trainings, one of which has an earlier state beside it."""
    report = _imported(client, "hf_trainer")
    assert (report.recorded, len(report.left), _wrong(report)) == (4, 1, [])
    experiment = client.experiment("hf_trainer")
    whisper = experiment.arm("P4P4N1CK__whisper-large-v2-japanese-5k-steps").get()
    assert whisper.status == "completed"
    assert whisper.metrics["total_flos"] == 5.27162132754432e20
    assert whisper.score("eval.wer") == 0.7449365679946583
    assert whisper.train_seconds == 77350.9963
    unfinished = experiment.arm("results/checkpoint-4500").get()
    assert (unfinished.status, len(unfinished.evals)) == ("running", 45)
    first = experiment.arm("aigoncharov__trainer_state_viz").eval("g0", step=0)
    assert first is not None
    assert (first.metrics["accuracy"], first.eval_seconds) == (0.7082294264339152, 5.7095)
    sets = {row.name for row in experiment.arm("aigoncharov__trainer_state_viz").get().evals}
    assert sets == {"g0", "g1", "g2", "g3", "g4", "g5"}
