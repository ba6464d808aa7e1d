"""Tests of distributed training: eight processes, started as torchrun starts them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import podium
import pytest
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.recorder.looking import PATIENT
from tests.sparse import sparse

RANKS = range(8)

# The script of every rank. Its arguments: the experiment, and keyword arguments of `record`.
SCRIPT = """
import json, os, signal, sys
import podium

name, given = sys.argv[1], json.loads(sys.argv[2])
if "attempt" in given:
    given["attempt"] = podium.Attempt(**given["attempt"])
rank = int(os.environ.get("RANK") or os.environ["SLURM_PROCID"])
with podium.record(name, close_timeout=120, **given) as experiment:
    with experiment.start_arm(podium.RunConfig("arm", seed=1)) as arm:
        for step in range(50):
            arm.log_eval(f"rank{rank}", {"n": step}, step=step)
        if os.environ.get("FAILS") == str(rank):
            raise RuntimeError(f"rank {rank} is out of memory")
        if "KILLED" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
"""

TORCHRUN = {"WORLD_SIZE": "8", "MASTER_ADDR": "localhost", "TORCHELASTIC_RESTART_COUNT": "0"}


def train(
    server: RunningServer,
    outbox: Path,
    name: str,
    variable: str = "RANK",
    environment: Mapping[str, str] = TORCHRUN,
    **given: object,
) -> list[str]:
    """Runs all ranks at the same time. Returns the stderr of each rank."""
    command = [sys.executable, "-c", PATIENT + SCRIPT, name, json.dumps(given)]
    told = {"PODIUM_ADDRESS": server.address, "PODIUM_OUTBOX": str(outbox)}
    processes = [
        zygote.start(
            command,
            env={**os.environ, **environment, **told, variable: str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in RANKS
    ]
    return [process.communicate(timeout=240)[1] for process in processes]


@pytest.mark.parametrize("variable", sparse(["RANK", "SLURM_PROCID"]))
def test_only_the_main_process_records(
    server: RunningServer, outbox: Path, client: podium.Client, name: str, variable: str
) -> None:
    """Of eight ranks, rank 0 records the arm. Each of the others logs once that it does not."""
    told = train(server, outbox, name, variable)
    assert told[0] == ""
    for rank in RANKS[1:]:
        assert told[rank].startswith(f"podium: this process is rank {rank} ({variable})")
        assert told[rank].count("\n") == 1
    found = client.arm(name, "arm").get()
    assert found.status == "completed"
    assert [(row.name, row.step) for row in found.evals] == [("rank0", n) for n in range(50)]


@pytest.mark.slow
def test_a_shared_attempt(
    server: RunningServer, outbox: Path, client: podium.Client, name: str
) -> None:
    """If all eight ranks record the same attempt, the arm has the rows of each rank once."""
    told = train(server, outbox, name, attempt={"id": "job-7", "order": 7})
    assert told == [""] * 8
    found = client.arm(name, "arm").get()
    assert (found.status, found.attempt) == ("completed", podium.Attempt("job-7", 7))
    for rank in RANKS:
        steps = [row.step for row in found.evals if row.name == f"rank{rank}"]
        assert steps == list(range(50))


@pytest.mark.slow
def test_a_rank_that_fails(
    server: RunningServer, outbox: Path, client: podium.Client, name: str
) -> None:
    """If one rank fails and the others are killed, the arm is failed and has the rank's error."""
    environment = {**TORCHRUN, "FAILS": "3", "KILLED": "1"}
    train(server, outbox, name, environment=environment, attempt={"id": "job-8", "order": 8})
    found = client.arm(name, "arm").get()
    assert found.status == "failed"
    assert "rank 3 is out of memory" in (found.error or "")


@pytest.mark.slow
def test_the_main_process_fails(
    server: RunningServer, outbox: Path, client: podium.Client, name: str
) -> None:
    """If the main process fails, the arm is failed, even if the other ranks end without errors."""
    environment = {**TORCHRUN, "FAILS": "0"}
    train(server, outbox, name, environment=environment, attempt={"id": "job-9", "order": 9})
    found = client.arm(name, "arm").get()
    assert found.status == "failed"
    assert "rank 0 is out of memory" in (found.error or "")


# A replacement for torch, which is large. It has only the functions that the recorder calls.
TORCH = """
import sys, types
distributed = types.ModuleType("torch.distributed")
distributed.is_available = lambda: True
distributed.is_initialized = lambda: sys.argv[1] != "not yet"
distributed.get_rank = lambda: int(sys.argv[1])
sys.modules["torch.distributed"] = distributed
import podium
with podium.record("torch") as experiment:
    print(experiment.is_silent)
"""


@pytest.mark.parametrize(
    ("rank", "variable", "silent"),
    [("0", "5", "False"), ("5", "0", "True"), ("not yet", "0", "False"), ("not yet", "5", "True")],
)
def test_torch_distributed(tmp_path: Path, rank: str, variable: str, silent: str) -> None:
    """If torch.distributed is initialized, its rank counts, whatever the variable RANK says."""
    environment = {
        **os.environ,
        "RANK": variable,
        "PODIUM_OFFLINE": "1",
        "PODIUM_OUTBOX": str(tmp_path),
    }
    command = [sys.executable, "-c", TORCH, rank]
    done = zygote.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == silent


@pytest.mark.parametrize("variable", ["SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
def test_a_rank_that_is_given(
    record: object, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    """With `rank=0`, a process records, even if a scheduler's variable gives it another rank.

    Without this argument, a process of rank 3 is silent.
    """
    assert callable(record)
    monkeypatch.setenv(variable, "3")
    with record(name, rank=0) as experiment:
        assert not experiment.is_silent
    with record(name) as experiment:
        assert experiment.is_silent
    monkeypatch.setenv("RANK", "some")
    monkeypatch.setenv(variable, "0")
    with record(name) as experiment:
        assert not experiment.is_silent
