"""Warnings name the user's line, also where a library calls Podium."""

import logging
import sysconfig
from pathlib import Path

import podium
import pytest
from podium_server.testing import running_server

_TRAINER = "def train(arm):\n    arm.log({'loss': 'much'})\n"


def test_a_warning_in_a_callback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The place is the line that called the library, and not a line of the library."""
    file = f"{sysconfig.get_path('purelib')}/trainer.py"
    library: dict[str, object] = {}
    exec(compile(_TRAINER, file, "exec"), library)  # noqa: S102
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path))
    train = library["train"]
    assert callable(train)
    with running_server() as server, podium.record("places", address=server.address) as experiment:
        arm = experiment.start_arm(podium.RunConfig("arm"))
        train(arm)
    record = next(record for record in caplog.records if "metrics" in record.getMessage())
    assert (record.levelno, Path(record.pathname).name) == (logging.WARNING, Path(__file__).name)
    assert Path(__file__).name in record.getMessage()
