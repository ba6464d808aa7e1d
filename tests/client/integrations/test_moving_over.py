"""Tests of the scripts in docs/from-*.md, which are for users of other tools."""

import re
from pathlib import Path

import podium
import pytest
from podium.importing import import_results
from podium_server.testing import RunningServer

_DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("tool", "folder", "metric"),
    [
        ("mlflow", "mlruns", "accuracy"),
        ("tensorboard", "runs", "test.accuracy"),
        ("wandb", "wandb", "test.accuracy"),
    ],
)
def test_both_sides_have_the_same_scores(
    tool: str,
    folder: str,
    metric: str,
    server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tool's own script runs, and its files are imported. The arms have the expected scores."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    text = (_DOCS / f"from-{tool}.md").read_text(encoding="utf-8")
    (script,) = re.findall(rf"```python {tool}\n(.*?)```", text, re.DOTALL)
    exec(compile(script, f"from-{tool}.md", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own
    with podium.Client(server.address) as client:
        report = import_results(client, tmp_path / folder, experiment="imported")
        ranking = client.experiment("imported").rank(metric=metric)
    assert (report.recorded, [item for item in report.not_imported if item.is_wrong]) == (6, [])
    names = [re.match(r"lr[\d.]+_seed\d", arm.arm)[0] for arm in ranking.arms]  # type: ignore[index]
    assert names == [f"lr{lr}_seed{seed}" for lr in ("0.01", "0.1", "1.0") for seed in (1, 0)]
    scores = [arm.score for arm in ranking.arms]
    assert scores == pytest.approx([0.905, 0.895, 0.86, 0.85, 0.41, 0.4])
