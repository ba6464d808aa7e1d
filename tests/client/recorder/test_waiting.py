"""Tests of results for an arm that the server does not have: warnings name similar arms."""

import time
from pathlib import Path

import podium
import pytest
from podium_server.testing import RunningServer

from tests.client.recorder.looking import told
from tests.client.sender.outboxes import until


def test_a_misspelt_arm(
    server: RunningServer,
    client: podium.Client,
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Results for a misspelt arm cause a warning during the evaluation and one at its end.

    Both warnings name similar arms.
    """
    client.experiment(name).declare()
    for arm in ("lora_rank4", "lora_rank8", "baseline"):
        client.experiment(name).start_arm(podium.RunConfig(arm))
    with podium.record(name, address=server.address, outbox=tmp_path) as experiment:
        evaluator = experiment.arm("lora_rank44")
        evaluator.log_eval("test", {"acc": 0.5})
        until(lambda: told(caplog))
        began = time.monotonic()
    assert time.monotonic() - began < 60, "it is not known why it waits"
    warned, last = told(caplog)
    expected = f"experiment '{name}' has no arm 'lora_rank44'"
    assert warned.startswith("podium: results wait in the outbox: ")
    for line in (warned, last):
        assert expected in line
        assert "did you mean 'lora_rank4' or 'lora_rank8'?" in line
    client.experiment(name).start_arm(podium.RunConfig("lora_rank44"))
