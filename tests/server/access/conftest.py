"""Fixtures: a certificate authority, a server certificate for this machine, and a clock."""

from pathlib import Path

import pytest
from podium_server.api import quotas

from tests.server.access.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Returns the certificate authority that all tests share."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_files(authority: Authority) -> tuple[Path, Path]:
    """Returns the file of a certificate for this machine, and the file of its key."""
    return authority.issue("server", "DNS:localhost,IP:127.0.0.1")


class Clock:
    """A clock that stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Returns the time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replaces the clock of all rate limits by one that the test moves."""
    clock = Clock()
    monkeypatch.setattr(quotas, "_clock", clock)
    return clock
