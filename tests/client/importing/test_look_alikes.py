"""Tests of files that only resemble those of a tool: none of them becomes a result."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from podium.importing import NotImported, read_results

from tests.client.importing.files import write_text
from tests.client.importing.wandb_files import log_bytes

_ID = "0123456789abcdef0123456789abcdef"
_ODD_JSON: tuple[Any, ...] = ({}, [], 1, "text", None, {"a": {"b": [1]}}, [{"a": 1}])
_NAMES = (
    "trainer_state.json",
    "all_results.json",
    "eval_results.json",
    "results.json",
    "results_2026-01-02T03-04-05.json",
    "run_result.json",
    "wandb-summary.json",
    "log.json",
    "generations/x/generation.json",
    "experiments/x/experiment.json",
    "logs/hyperparams.json",
)
_OBJECTS: dict[str, Any] = {
    "my_trainer_state.json": {"log_history": [{"step": 1, "loss": 0.5}]},
    "a/trainer_state.json": {"history": [{"step": 1, "loss": 0.5}]},
    "b/all_results.json": {"accuracy": 0.5, "eval_accuracy": 0.5},
    "c/eval_results.json": {"note": "the eval_runtime is not known", "x_runtime": "long"},
    "d/results.json": {"results": {"task": {"acc": 0.5}}},
    "e/results.json": {"results": {"task": {"acc": 0.5}}, "config": {"model": "m"}},
    "f/results.json": {"results": 0.5, "config": {"model_args": "pretrained=m"}},
    "g/results.json": {"results": {"task": 0.5}, "versions": {"task": 1}},
    "h/log.json": {"eval": "task_id", "version": 2},
    "ha/task.json": {"eval": {"task": "lint"}, "task_id": "1"},
    "hb/task.json": {"eval": "2+2", "task_id": 7, "results": {"scores": [1]}},
    "hd/trainer_state.json": {"log_history": "long", "state": "Kanto"},
    "he/results.json": {"results": {"s": {"passed": 3}}, "versions": {"node": "20"}, "config": {}},
    "hf/journal.log": {"message": "trial created", "study_id": 1, "trial_id": 2},
    "hg/experiments/1/experiment.json": {"name": "split test", "variants": ["a", "b"]},
    "i/log.json": {"samples": [{"eval": {"task_id": "x", "task": "t", "model": "m"}}]},
    "j/run_result.json": {"passed": 3, "failed": 0},
    "k/experiments/x/experiment.json": {"title": "growth of plants", "weeks": 8},
    "l/generations/x/generation.json": {"prompt": "a cat", "image": "cat.png"},
    "m/files/wandb-summary.json": ["loss", 0.5],
    "n/export.jsonl": {"experiment": "x", "accuracy": 0.5},
    "o/export.jsonl": {"event": "experiment_declared", "name": "x"},
    "p/journal.log": {"op_code": 0, "worker_id": 3, "x": 1},
    "q/journal.log": {"worker_id": "w", "study_name": "x"},
}
_TEXTS = {
    "aa/mlruns/0/meta.yaml": "name: experiment\n",
    "ab/mlruns/0/meta.yaml": "model_id: m-1\nartifact_location: x\n",
    "ac/meta.yaml": "pages: 3\nlayout: wide\n",
    f"ad/{_ID}/notes.txt": "a folder named like a run",
    f"ae/{_ID}/meta.yaml": "kind: post\n",
    "ba/wandb/run-20260102_030405-abc/notes.txt": "no files",
    "bb/run.wandb": ":W&B is what we use",
    "bc/events.out.tfevents.txt": "the names of event files",
    "bd/tfevents/events.txt": "a folder",
    "ca/metrics.csv": "epoch,step,train_loss\n0,1,0.5\n",
    "cb/metrics.csv": "name,value\nx,0.5\n",
    "cb/hparams.yaml": "lr: 0.1\n",
    "cc/hparams.yaml": "lr: 0.1\n",
    "cd/metrics.csv.bak": "step,loss\n1,0.5\n",
    "da/study.db": "SQLite format 3\x00 is how they begin",
    "db/log.eval": "1 + 1",
    "dc/results.parquet": "PAR1",
    "dd/data.jsonl": '{"step": 1, "loss": 0.5}\n',
    "de/data.csv": "model,acc\na,0.5\n",
    "ea/experiment.md": "# Experiment\n\n- plants: grow\n",
    "ea/week1/logs/metrics.jsonl": '{"height": 3}\n',
    "eb/conclusion.md": "- status: completed\n",
    "ec/logs/metrics.jsonl": '{"step": 1, "loss": 0.5}\n',
}


def _files(folder: Path) -> Iterator[Path]:
    for number, odd in enumerate(_ODD_JSON):
        for name in _NAMES:
            yield write_text(folder / f"odd{number}" / name, json.dumps(odd))
    for name, content in _OBJECTS.items():
        yield write_text(folder / name, json.dumps(content) + "\n")
    for name, text in _TEXTS.items():
        yield write_text(folder / name, text)
    (folder / "fa").mkdir()
    with closing(sqlite3.connect(folder / "fa" / "other.db")) as database:
        database.executescript("CREATE TABLE studies (x); CREATE TABLE trials (x)")
    yield folder / "fa" / "other.db"
    (folder / "fa" / "half.wandb").write_bytes(log_bytes()[:4])
    yield folder / "fa" / "half.wandb"


@pytest.mark.heavy
def test_a_hundred_look_alikes_are_not_results(tmp_path: Path) -> None:
    """No file that only has the name or the shape of a kind becomes an arm or an experiment."""
    files = list(_files(tmp_path))
    assert len(files) > 100
    found = list(read_results(tmp_path))
    assert [item for item in found if not isinstance(item, NotImported)] == []
    notes = [item for item in found if isinstance(item, NotImported)]
    crashed = [f"{item.source}: {item.why}" for item in notes if "not in the format" in item.why]
    assert crashed == []
    assert len(notes) < 20
