"""An authority for all tests of the folder, and servers in the process of the test."""

from pathlib import Path

import pytest

from tests.server.access.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Returns an authority that the tests share."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_files(authority: Authority) -> tuple[Path, Path]:
    """Returns a certificate of this machine, and its key."""
    return authority.issue("server", "DNS:localhost,IP:127.0.0.1")
