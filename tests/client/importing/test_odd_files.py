"""Tests of odd folders and files: cut off, linked, mixed, unreadable, or with odd names."""

import gzip
import json
import os
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import podium
import pytest
from podium.importing import _values, import_results
from podium.importing.kinds import inspect_ai

from tests.client.importing.files import write_json, write_lines, write_text
from tests.client.importing.reading import results

_STATE = {"global_step": 2, "max_steps": 4, "log_history": [{"step": 2, "eval_acc": 0.5}]}


def _training(folder: Path, **said: Any) -> Path:
    return write_json(folder / "trainer_state.json", {**_STATE, **said})


def test_links_are_followed_once(tmp_path: Path) -> None:
    """Results behind a link out of the tree are imported once.

    Loops and other links add nothing.
    """
    _training(tmp_path / "elsewhere" / "far")
    tree = tmp_path / "tree"
    _training(tree / "near")
    (tree / "far").symlink_to(tmp_path / "elsewhere")
    (tree / "again").symlink_to(tmp_path / "elsewhere")
    (tree / "itself").symlink_to(tree / "itself")
    (tree / "near" / "up").symlink_to(tree)
    (tree / "above").symlink_to(tmp_path)
    found = results(tree)
    assert (set(found.arms), found.not_imported) == ({"near", "far"}, {})


def test_unreadable_folders_and_files_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder and a file that this user may not read are reported. The others are imported."""
    _training(tmp_path / "mine")
    closed = _training(tmp_path / "closed" / "run").parent.parent
    private = _training(tmp_path / "private")
    listed, opened = Path.iterdir, Path.open

    def iterdir(path: Path) -> Iterator[Path]:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    def open_(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == private:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(Path, "open", open_)
    found = results(tmp_path)
    assert set(found.arms) == {"mine"}
    assert found.not_imported == {
        "closed": "Permission denied",
        "private/trainer_state.json": "[Errno 13] Permission denied: " + repr(str(private)),
    }


def test_files_of_several_kinds_in_one_folder(tmp_path: Path) -> None:
    """Files of several kinds in one folder are read by the importers of their kinds."""
    _training(tmp_path)
    _training(tmp_path / "checkpoint-2")
    row = {"results": {"t": {"acc": 0.5}}, "config": {"model": "hf", "model_args": "pretrained=m"}}
    write_json(tmp_path / "results.json", row)
    write_json(
        tmp_path / "log.json", {"version": 2, "eval": {"task_id": "t", "task": "q", "model": "m"}}
    )
    write_text(tmp_path / "mlruns" / "0" / ("a" * 32) / "meta.yaml", "run_id: a\nstatus: 3\n")
    write_json(tmp_path / "r" / "run_result.json", {"run_id": "r", "status": "completed"})
    write_json(tmp_path / "notes.json", {"log_history": "mine"})
    write_text(tmp_path / "events.out.tfevents.1", "")
    found = results(tmp_path)
    assert len(found.arms) == 5
    assert set(found.not_imported) == {
        "checkpoint-2/trainer_state.json",
        "log.json",
        "events.out.tfevents.1",
    }


def test_a_byte_order_mark_and_keys_twice_are_read(tmp_path: Path) -> None:
    """A JSON file with a byte order mark is read. If it has a key twice, the last value counts."""
    log = '"log_history": [{"loss": 1, "loss": 2}]'
    text = f'{{"global_step": 1, "max_steps": 1, "max_steps": 9, {log}}}'
    path = tmp_path / "run" / "trainer_state.json"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    arm = results(tmp_path).arms["run"]
    assert (arm.status, arm.metrics) == ("running", {"loss": 2.0})


def test_numbers_that_do_not_fit_are_kept_as_what_they_are(
    client: podium.Client, tmp_path: Path
) -> None:
    """An integer beyond 64 bits is a double as a metric, and a string as a setting.

    As a step, it is an error.
    """
    huge = 10**30
    log = [{"step": 2, "total_flos": huge, "eval_acc": 0.5}]
    _training(tmp_path / "run", log_history=log, train_batch_size=huge, save_steps=-(2**63))
    assert import_results(client, tmp_path).not_imported == []
    arm = client.arm("hf_trainer", "run").get()
    assert arm.metrics["total_flos"] == 1e30
    assert arm.run_config.algorithm is not None
    assert arm.run_config.algorithm.params["train_batch_size"] == str(huge)
    assert arm.run_config.algorithm.params["save_steps"] == -(2**63)
    _training(tmp_path / "other", log_history=[{"step": huge, "eval_acc": 0.5}])
    assert results(tmp_path).not_imported == {
        "other": f"{huge} is not a valid step: a step is a 64-bit integer"
    }


def test_invalid_names_are_rejected_with_the_reason(client: podium.Client, tmp_path: Path) -> None:
    """A name with a control character is rejected with the reason. Long names are shortened."""
    _training(tmp_path / "tab\tbed")
    _training(tmp_path / ("ü" * 120))
    row = {"results": {"t": {"acc": 0.5}}, "config": {"model_args": "pretrained=" + "m" * 300}}
    write_json(tmp_path / "results.json", row)
    report = import_results(client, tmp_path)
    assert report.recorded == 2
    (arm,) = client.experiment("lm_eval").arms()
    assert arm.run_config.model == podium.ModelConfig("m" * 300)
    (refused,) = report.not_imported
    assert "NAME_INVALID" in refused.why


def test_steps_that_go_back_keep_their_rows(client: podium.Client, tmp_path: Path) -> None:
    """If a run logs a step again, the last value counts. Rows are in the order of their steps."""
    run = tmp_path / "mlruns" / "0" / ("b" * 32)
    write_text(run / "meta.yaml", f"run_id: {run.name}\nrun_name: back\nstatus: 3\n")
    write_text(run / "metrics" / "val_acc", "1 0.5 10\n2 0.75 20\n3 0.625 10\n4 0.25 -1\n")
    write_text(run / "metrics" / "loss", "1 0.5 10\n2 0.25 20\n3 0.125 10\n")
    import_results(client, tmp_path)
    arm = client.arm("mlflow-0", "back-bbbbbbbb").get()
    assert arm.metrics == {"loss": 0.25}
    assert [(row.step, row.metrics["acc"]) for row in arm.evals] == [
        (-1, 0.25),
        (10, 0.625),
        (20, 0.75),
        (None, 0.75),
    ]


def test_compressed_exports_that_were_cut_off_are_reported(tmp_path: Path) -> None:
    """The lines before the cut in a compressed export are imported, and the cut is reported.

    No importer claims a file whose beginning is damaged.
    """
    arms = [
        {"experiment": "e", "name": f"a{n}", "run_config": {"name": str(n)}, "status": "completed"}
        for n in range(2_000)
    ]
    whole = gzip.compress(b"".join(json.dumps(arm).encode() + b"\n" for arm in arms))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "none.jsonl.gz").write_bytes(b"\x1f\x8b\x08" + bytes(20))
    found = results(tmp_path)
    assert 0 < len(found.arms) < 2_000
    assert {source.partition(":")[0] for source in found.wrong} == {"cut.jsonl.gz"}
    assert "is incomplete or damaged" in list(found.not_imported.values())[-1]


def test_files_that_break_their_readers_are_reported(tmp_path: Path) -> None:
    """A file that is nested too deeply and a damaged zip are reported. Other files are imported."""
    _training(tmp_path / "run")
    deep = '{"log_history": ' + "[" * 100_000 + "]" * 100_000 + "}"
    write_text(tmp_path / "deep" / "trainer_state.json", deep)
    with zipfile.ZipFile(tmp_path / "bad.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task_id": os.urandom(200).hex()}}))
    data = bytearray((tmp_path / "bad.eval").read_bytes())
    data[45:60] = bytes(15)
    (tmp_path / "bad.eval").write_bytes(data)
    found = results(tmp_path)
    assert set(found.arms) == {"run"}
    assert found.wrong == {"deep/trainer_state.json", "bad.eval"}
    assert found.not_imported["deep/trainer_state.json"] == "the data is nested too deeply"
    assert found.not_imported["bad.eval"].startswith("a damaged zip")


def test_empty_files_and_folders_are_no_results(tmp_path: Path) -> None:
    """Empty files and folders give neither arms nor experiments."""
    for name in ("trainer_state.json", "results.json", "log.eval", "all.jsonl", "all.jsonl.gz"):
        write_text(tmp_path / name, "")
    for folder in ("mlruns", "experiments", "generations/x", "checkpoint-1"):
        (tmp_path / folder).mkdir(parents=True)
    write_lines(tmp_path / "other.jsonl", {"a": 1})
    found = results(tmp_path)
    empty = dict.fromkeys(("trainer_state.json", "log.eval"), "the file is empty")
    assert (found.arms, found.experiments, found.not_imported) == ({}, [], empty)


@pytest.mark.slow
def test_hostile_archives_cost_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip entry and a compressed line over the limits are reported, and take little memory."""
    monkeypatch.setattr(_values, "_MAX_LINE_BYTES", 1_000_000)
    monkeypatch.setattr(inspect_ai, "_HEADER_BYTES", 1_000_000)
    with gzip.open(tmp_path / "line.jsonl.gz", "wb") as file:
        file.write(b'{"event": "experiment_declared", "experiment": "e"}\n{"a": "')
        for _ in range(64):
            file.write(b"x" * 1_000_000)
    with zipfile.ZipFile(tmp_path / "big.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", b'{"eval": "' + b"x" * 64_000_000)
    tracemalloc.start()
    try:
        found = results(tmp_path)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16_000_000
    assert found.not_imported == {
        "big.eval": "header.json is larger than the limit of 1,000,000 bytes",
        "line.jsonl.gz:2": "the compressed file is incomplete or damaged: a line is larger than "
        "the limit of 1,000,000 bytes",
    }


def test_two_training_runs_with_the_same_name(client: podium.Client, tmp_path: Path) -> None:
    """Of two training runs in folders with the same name, the first one is imported.

    The report says how the other one can be imported.
    """
    _training(tmp_path / "a" / "run")
    _training(tmp_path / "b" / "run", log_history=[{"step": 2, "eval_acc": 0.25}])
    report = import_results(client, tmp_path)
    assert client.arm("hf_trainer", "run").score("eval.acc") == 0.5
    [item] = report.not_imported
    assert item.source == str(tmp_path / "b" / "run" / "trainer_state.json")
    assert item.why.endswith("import this arm into another experiment (--experiment)")
    import_results(client, tmp_path / "b", experiment="second")
    assert client.arm("second", "run").score("eval.acc") == 0.25
