"""Tests of the provenance that imports take from files: commit, command line, host, versions."""

from pathlib import Path

import podium
import pytest
from podium.importing import FoundArm, read_results

from tests.client.importing.files import write_json, write_text

_COMMIT = "f3077048c8cf1fef977496f8e46869cb07e73e30"
_RUN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns provenance on, which is off in most tests."""
    monkeypatch.delenv("PODIUM_PROVENANCE", raising=False)


def _provenance(path: Path) -> podium.Provenance | None:
    [found] = [item for item in read_results(path) if isinstance(item, FoundArm)]
    return found.arm.provenance


def _write_wandb(folder: Path) -> Path:
    files = folder / "run-20260102_030405-abc" / "files"
    write_json(files / "wandb-summary.json", {"loss": 0.5})
    facts = {
        "git": {"commit": _COMMIT},
        "codePath": "train.py",
        "args": ["--lr", "0.1", "--token=hf_0123456789abcdef", 3],
        "host": "node7",
        "python": "3.11.5",
        "email": "someone@example.org",
    }
    write_json(files / "wandb-metadata.json", facts)
    return folder


def test_a_run_of_wandb(client: podium.Client, tmp_path: Path) -> None:
    """The provenance of a W&B run is imported without secrets and without e-mail addresses."""
    found = _provenance(_write_wandb(tmp_path))
    assert found == podium.Provenance(
        _COMMIT,
        command_line=["train.py", "--lr", "0.1", "--token=[redacted]"],
        host="node7",
        python_version="3.11.5",
    )
    assert podium.importing.import_results(client, tmp_path).recorded == 1
    assert client.arm("wandb", "abc").get().provenance == found
    assert podium.importing.import_results(client, tmp_path).unchanged == 1


def test_the_variable_turns_provenance_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PODIUM_PROVENANCE=off turns provenance off in imports, too."""
    monkeypatch.setenv("PODIUM_PROVENANCE", "off")
    assert _provenance(_write_wandb(tmp_path)) is None


def test_other_tools(tmp_path: Path) -> None:
    """The commit is imported from MLflow, lm-evaluation-harness and Inspect.

    MLflow also has the name of the program. The other two have versions of packages.
    """
    run = tmp_path / "mlruns" / "1" / _RUN
    write_text(run / "meta.yaml", f"run_id: {_RUN}\nstatus: 3\nlifecycle_stage: active\n")
    write_text(run / "tags" / "mlflow.source.git.commit", _COMMIT)
    write_text(run / "tags" / "mlflow.source.name", "train.py")
    assert _provenance(run) == podium.Provenance(_COMMIT, command_line=["train.py"])
    results = {
        "results": {"x": {"acc,none": 0.5}},
        "config": {"model_args": "pretrained=m"},
        "git_hash": "5f62be8",
        "lm_eval_version": "0.4.10",
        "transformers_version": None,
    }
    file = write_json(tmp_path / "results.json", results)
    assert _provenance(file) == podium.Provenance("5f62be8", packages={"lm_eval": "0.4.10"})
    log = {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "t",
            "task_id": "a",
            "model": "m",
            "revision": {"type": "git", "commit": "e9a9d71"},
            "packages": {"inspect_ai": "0.3.95"},
        },
    }
    file = write_json(tmp_path / "log.json", log)
    assert _provenance(file) == podium.Provenance("e9a9d71", packages={"inspect_ai": "0.3.95"})
