"""A server for the whole folder, and for each test a name and an outbox of its own."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import StreamReader, streams
from podium._recorder import process_outbox, stream
from podium_server.testing import RunningServer, running_server

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """Yields a server that tests share; each takes experiments of its own."""
    with running_server() as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[podium.Client]:
    """Returns a client that reads the recorded results."""
    with podium.Client(server.address) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Returns the name of an experiment that no other test uses."""
    return f"tests/sweep_{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns an outbox that tests share, and so one sender."""
    return tmp_path_factory.mktemp("outbox")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a busy machine take longer before the recorder warns of a slow disk."""
    monkeypatch.setattr(stream, "_ROOM_SECONDS", 60.0)


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a busy machine take longer to deliver before the end of a block gives up."""
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 120.0)
    monkeypatch.setattr(process_outbox, "_PROGRESS_SECONDS", 120.0)


def wait_for_delivery(outbox: Path, experiment: str) -> None:
    """Waits until an experiment is delivered, of whatever process, also of those that are gone."""
    deadline = time.monotonic() + 120
    while waiting := [str(folder) for folder in _streams(outbox) if _waits(folder, experiment)]:
        assert time.monotonic() < deadline, waiting
        time.sleep(0.05)


def _streams(outbox: Path) -> list[Path]:
    return [folder for server in outbox.glob("*/*") for folder in streams(server)]


def _waits(folder: Path, experiment: str) -> bool:
    try:
        reader = StreamReader(folder)
        ours = reader.info.experiment == experiment
        return ours and reader.progress().delivered < reader.last_sequence()
    except FileNotFoundError:
        return False  # the sender has deleted it, since it is delivered


@pytest.fixture
def record(server: RunningServer, outbox: Path) -> Any:
    """`podium.record` to the server; the end of its block waits for delivery."""
    return partial(podium.record, address=server.address, outbox=outbox, close_timeout=120.0)
