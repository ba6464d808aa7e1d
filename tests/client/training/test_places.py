"""Warnings name the user's line, even where a library calls Podium."""

import logging
import sysconfig
from pathlib import Path

import podium
import pytest
from podium._recorder import experiment, last_words
from podium.integrations._training import Training
from podium_server.testing import running_server

_TRAINER = "def train(arm):\n    arm.log({'loss': 'much'})\n"


def test_a_warning_in_a_callback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names the user's file that called the library, not the file of the library."""
    file = f"{sysconfig.get_path('purelib')}/trainer.py"
    library: dict[str, object] = {}
    exec(compile(_TRAINER, file, "exec"), library)  # noqa: S102
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path))
    train = library["train"]
    assert callable(train)
    with running_server() as server, podium.record("places", address=server.address) as recorder:
        arm = recorder.start_arm(podium.RunConfig("arm"))
        train(arm)
    record = next(record for record in caplog.records if "metrics" in record.getMessage())
    assert (record.levelno, Path(record.pathname).name) == (logging.WARNING, Path(__file__).name)
    assert Path(__file__).name in record.getMessage()


def test_one_notice_for_all_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting events are reported at the end of the first training run.

    Those of all later runs are reported in one line at the end of the process.
    """
    monkeypatch.setenv("PODIUM_OFFLINE", "1")
    monkeypatch.setenv("PODIUM_OUTBOX", str(tmp_path))
    monkeypatch.setattr(last_words, "_pending_later", {})
    monkeypatch.setattr(experiment, "_recording", set())
    for number in range(4):
        training = Training("notices")
        training.begin(podium.RunConfig(f"arm{number}"))
        training.end()
        training.leave(None)
    (first,) = caplog.messages
    assert first.startswith("podium: 3 events of 'notices' are not delivered yet (this process ")
    experiment._close_all()  # as the end of the process does
    assert len(caplog.messages) == 2
    assert caplog.messages[1].startswith("podium: 6 events of 'notices' are not delivered yet (")
    assert "`podium sync` delivers them" in caplog.messages[1]
