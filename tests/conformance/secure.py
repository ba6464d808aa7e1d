"""A server with TLS and tokens, for the clients' own tests."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podium_server.testing import running_server

from tests.server.access.certificates import Authority

__all__ = ["secure_server"]

_SECONDS = 60


@contextmanager
def secure_server() -> Iterator[dict[str, str]]:
    """Runs a server that requires a client certificate and a token. Yields variables for tests.

    PODIUM_SECURE_ADDRESS names the server. PODIUM_SECURE_FILES is a folder with ca.pem, client.pem,
    client.key, token and other.pem. The last is the certificate of an authority that did not sign
    the server's certificate.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        Authority(folder, "other")
        cert, key = authority.issue("server", "DNS:localhost,IP:127.0.0.1")
        authority.issue("client", "DNS:client")
        store = f"sqlite:///{folder / 'podium.db'}"
        files = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", authority.cert)
        with running_server(store, *map(str, files), "--auth", "tokens") as server:
            (folder / "token").write_text(_new_token(store), encoding="ascii")
            yield {"PODIUM_SECURE_ADDRESS": server.address, "PODIUM_SECURE_FILES": name}


def _new_token(store: str) -> str:
    command = ("token", "create", "tests", "--role", "recorder", "--store", store)
    created = subprocess.run(
        (sys.executable, "-m", "podium", *command),
        check=True,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return created.stdout
