"""Tests of the TLS files of a server: when they are read again, and what clients must show."""

import itertools
import logging
import shutil
import ssl
from pathlib import Path

import pytest
from podium_server.serve import tls
from podium_server.serve.settings import ConfigError, ServerTLS
from podium_server.serve.tls import Certificates

from tests.server.access.certificates import Authority

Pair = tuple[Path, Path]


def test_changed_files_are_loaded_once(
    authority: Authority, server_files: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Changed files are loaded once, however many connections there are.

    Files that cannot be used cause only one line in the log.
    """
    caplog.set_level(logging.INFO)
    live = tmp_path / "live.pem", tmp_path / "live.key"
    for source, target in zip(server_files, live, strict=True):
        shutil.copy(source, target)
    certificates = Certificates(ServerTLS(*live))
    first = certificates.newest()
    live[0].write_bytes(b"half a certificate")
    assert all(certificates.newest() is first for _ in range(5))
    renewed = authority.issue("renewed", "IP:127.0.0.1")
    for source, target in zip(renewed, live, strict=True):
        shutil.copy(source, target)
    second = certificates.newest()
    assert all(certificates.newest() is second for _ in range(5))
    assert (second.chain, second.key) == tuple(file.read_bytes() for file in renewed)
    assert second != first
    assert [text.partition(":")[0] for text in caplog.messages] == [
        "the previous certificate stays in use",
        "the files of the certificate have changed",
    ]


@pytest.mark.parametrize("ends_at", [1, 2])
def test_files_that_change_while_they_are_read_are_not_used(
    server_files: Pair, ends_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the files change while they are read, they are not used.

    Otherwise a certificate could be used with the key of another one.
    """
    states = itertools.count()
    monkeypatch.setattr(tls, "file_states", lambda _paths: max(next(states), ends_at))
    if ends_at == 1:
        with pytest.raises(ConfigError, match="changed while it was read"):
            Certificates(ServerTLS(*server_files))
    else:
        assert Certificates(ServerTLS(*server_files)).newest().authorities is None


@pytest.mark.parametrize("has_client_ca", [True, False])
def test_http_asks_clients_for_certificates(
    authority: Authority, server_files: Pair, *, has_client_ca: bool
) -> None:
    """HTTP requires client certificates if, and only if, an authority for them is set."""
    client_ca = authority.cert if has_client_ca else None
    certificates = Certificates(ServerTLS(*server_files, client_ca))
    for context in (certificates.context(), certificates._newest().http):
        assert context.verify_mode == (ssl.CERT_REQUIRED if has_client_ca else ssl.CERT_NONE)
    authorities = authority.cert.read_bytes() if has_client_ca else None
    assert certificates.newest().authorities == authorities
