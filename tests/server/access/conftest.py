"""Fixtures for TLS: a certificate authority, and a server certificate for this machine."""

from pathlib import Path

import pytest

from tests.server.access.certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Returns the certificate authority that all tests share."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_files(authority: Authority) -> tuple[Path, Path]:
    """Returns the file of a certificate for this machine, and the file of its key."""
    return authority.issue("server", "DNS:localhost,IP:127.0.0.1")
