"""Fixtures: a server and an outbox that all tests share, and an experiment name for each test."""

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
    """Yields a server that all tests share. Each test records experiments of its own."""
    with running_server() as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[podium.Client]:
    """Yields a client that reads the recorded results."""
    with podium.Client(server.address) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Returns the name of an experiment that no other test uses."""
    return f"tests/sweep_{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns an outbox that all tests share, so that one sender delivers all events."""
    return tmp_path_factory.mktemp("outbox")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a busy machine take longer before the recorder warns of a slow disk."""
    monkeypatch.setattr(stream, "_ROOM_SECONDS", 60.0)


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the end of a block wait longer for delivery, because the machine may be busy."""
    monkeypatch.setattr(process_outbox, "_FIRST_PROGRESS_SECONDS", 120.0)
    monkeypatch.setattr(process_outbox, "_PROGRESS_SECONDS", 120.0)


def wait_for_delivery(outbox: Path, experiment: str) -> None:
    """Waits until all events of an experiment are delivered, whichever process recorded them."""
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
    """Returns `podium.record` with the server, the outbox and a long close timeout."""
    return partial(podium.record, address=server.address, outbox=outbox, close_timeout=120.0)
