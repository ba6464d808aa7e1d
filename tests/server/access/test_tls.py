"""Tests of TLS: which clients can connect, what errors say, and certificates that change."""

import asyncio
import shutil
import socket
import ssl
import warnings
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import podium
import pytest
from podium_server.serve.settings import ConfigError, ServerTLS

from tests.server.access.certificates import Authority
from tests.server.access.serving import serving

Pair = tuple[Path, Path]


async def _revision(address: str, **settings: Any) -> int | None:
    """Declares an experiment with both clients, and returns its revision."""

    def blocking() -> int:
        with podium.Client(address, read_timeout=120, write_timeout=120, **settings) as client:
            return client.experiment("x").declare(tags=["blocking"]).revision

    await asyncio.to_thread(blocking)
    async with podium.AsyncClient(address, **settings) as client:
        return (await client.experiment("x").declare(tags=["async"], overwrite=True)).revision


async def _problem(address: str, tls: podium.TLS | bool) -> str:
    """Returns the message of the error of a client that gets no connection."""
    async with podium.AsyncClient(address, tls=tls, connect_timeout=0.5) as client:
        with pytest.raises(podium.UnavailableError) as caught:
            await client.experiment("x").get()
    return caught.value.message


async def test_both_clients_connect_over_tls(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """Both clients connect if they trust the authority of the server's certificate."""
    async with serving(tmp_path, tls=ServerTLS(*server_files)) as [address]:
        assert await _revision(address, tls=podium.TLS(ca=authority.cert)) == 2


async def test_the_environment_names_the_files(
    authority: Authority, server_files: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PODIUM_TLS_CA makes clients use TLS if the address has a port, but not for a Unix socket."""
    monkeypatch.setenv("PODIUM_TLS_CA", str(authority.cert))
    async with serving(tmp_path, tls=ServerTLS(*server_files)) as [address]:
        assert await _revision(address) == 2
    socket = f"unix:{tmp_path / 'podium.sock'}"
    async with serving(tmp_path, socket, tls=ServerTLS(*server_files)):
        assert await _revision(socket) == 2


async def test_errors_of_tls_say_what_is_wrong(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """If a client cannot connect, the error names the cause.

    Causes are a wrong authority, a wrong name, an expired certificate, or TLS on only one side.
    """
    right, other = podium.TLS(ca=authority.cert), Authority(tmp_path, "other")
    async with serving(tmp_path, tls=ServerTLS(*server_files)) as [address]:
        text = await _problem(address, podium.TLS(ca=other.cert))
        assert f"its certificate was not issued by an authority in {other.cert}" in text
        assert "not issued by a public authority" in await _problem(address, tls=True)
        assert "it may require TLS: set PODIUM_TLS_CA" in await _problem(address, tls=False)
    async with serving(tmp_path) as [address]:
        assert "the server does not use TLS" in await _problem(address, right)
    for name, names, days, expected in (
        ("elsewhere", "DNS:results.example", 10, "its certificate is for other names"),
        ("old", "IP:127.0.0.1", -1, "its certificate has expired"),
    ):
        files = authority.issue(name, names, days)
        async with serving(tmp_path, tls=ServerTLS(*files)) as [address]:
            assert expected in await _problem(address, right)


async def test_a_client_without_certificate_is_rejected(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """With --tls-client-ca, a client without a certificate is rejected.

    A client with a certificate of that authority is served.
    """
    cert, key = authority.issue("client", "DNS:client")
    tls = ServerTLS(*server_files, authority.cert)
    async with serving(tmp_path, tls=tls) as [address]:
        text = await _problem(address, podium.TLS(ca=authority.cert))
        assert "PODIUM_TLS_CERT and PODIUM_TLS_KEY" in text
        assert await _revision(address, tls=podium.TLS(authority.cert, cert, key)) == 2


async def test_a_changed_certificate_is_used_without_a_failed_call(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """New connections to each port use the newest certificate, and no call fails.

    This holds even while the file of the key still belongs to the previous certificate.
    """
    files = (tmp_path / "live.pem", tmp_path / "live.key")
    new = authority.issue("renewed", "IP:127.0.0.1,DNS:renewed")
    other = Authority(tmp_path, "other").issue("foreign", "IP:127.0.0.1")

    def install(*pair: Path) -> None:
        for source, target in zip(pair, files, strict=False):
            staged = target.with_suffix(".new")
            shutil.copy(source, staged)
            staged.replace(target)

    trusts_both = tmp_path / "both.pem"
    trusts_both.write_bytes(authority.cert.read_bytes() + (tmp_path / "other.pem").read_bytes())
    install(*server_files)
    async with (
        serving(tmp_path, "127.0.0.1:0", "127.0.0.1:0", tls=ServerTLS(*files)) as addresses,
        podium.AsyncClient(addresses[0], tls=podium.TLS(trusts_both), retry=False) as client,
    ):
        for pair in (other[:1], other, new[:1], new, server_files, other):
            install(*pair)
            await client.experiment("x").declare()
            await _revision(addresses[0], tls=podium.TLS(trusts_both))
        for address in addresses:
            text = await _problem(address, podium.TLS(authority.cert))
            assert "its certificate was not issued by" in text


async def test_http_is_encrypted_with_the_newest_certificate(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """The HTTP port uses the newest certificate. It rejects a client without a certificate."""
    files = (tmp_path / "live.pem", tmp_path / "live.key")
    client = authority.issue("client", "DNS:client")

    def names(url: str, own: Pair | None = None) -> list[str]:
        """Asks for the server's version. Returns the names in its certificate."""
        context = ssl.create_default_context(cafile=authority.cert)
        if own is not None:
            context.load_cert_chain(own[0], own[1])
        connection = HTTPSConnection(url.removeprefix("https://"), timeout=120, context=context)
        try:
            json = {"content-type": "application/json"}
            connection.request("POST", "/podium.v1.ResultsService/GetServer", "{}", json)
            assert connection.getresponse().status == 200
            shown: Any = connection.sock.getpeercert()
            return [name for _, name in shown["subjectAltName"]]
        finally:
            connection.close()

    def install(pair: Pair) -> None:
        for source, target in zip(pair, files, strict=True):
            shutil.copy(source, target)

    install(server_files)
    tls, http = ServerTLS(*files, authority.cert), ("127.0.0.1:0",)
    async with serving(tmp_path, tls=tls, http=http) as [_, url]:
        assert url.startswith("https://")
        before = await asyncio.to_thread(names, url, client)
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.to_thread(names, url)
        install(authority.issue("renewed", "IP:127.0.0.1,DNS:renewed"))
        assert await asyncio.to_thread(names, url, client) == ["127.0.0.1", "renewed"] != before


async def test_old_protocols_are_rejected(server_files: Pair, tmp_path: Path) -> None:
    """No port accepts TLS 1.0 or TLS 1.1. Each port accepts TLS 1.3."""

    def shake_hands(address: str, version: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        host, _, port = address.removeprefix("https://").rpartition(":")
        with (
            socket.create_connection((host, int(port)), timeout=300) as connection,
            context.wrap_socket(connection) as encrypted,
        ):
            return encrypted.version()

    http = ("127.0.0.1:0",)
    async with serving(tmp_path, tls=ServerTLS(*server_files), http=http) as addresses:
        for address in addresses:
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                with pytest.raises((ssl.SSLError, OSError)):
                    await asyncio.to_thread(shake_hands, address, version)
            newest = await asyncio.to_thread(shake_hands, address, ssl.TLSVersion.TLSv1_3)
            assert newest == "TLSv1.3"


async def test_a_client_reads_changed_files_again(
    authority: Authority, server_files: Pair, tmp_path: Path
) -> None:
    """If the file of a client's authority changes, the client reads it again and connects."""
    other = Authority(tmp_path, "other")
    ca = tmp_path / "live.pem"
    shutil.copy(other.cert, ca)
    async with (
        serving(tmp_path, tls=ServerTLS(*server_files)) as [address],
        podium.AsyncClient(address, tls=podium.TLS(ca), retry=False) as client,
    ):
        with pytest.raises(podium.UnavailableError):
            await client.experiment("x").declare()
        ca.unlink()
        with pytest.raises(podium.UnavailableError, match="was not issued by"):
            await client.experiment("x").declare()
        with pytest.raises(podium.UnavailableError, match="cannot be read: No such file"):
            await client.experiment("x").declare()
        shutil.copy(authority.cert, ca)
        assert (await client.experiment("x").declare()).revision == 1


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("server.pem", "absent.key", "absent.key cannot be read: No such file"),
        ("server.pem", "ca.key", "does not belong to the certificate in"),
        ("server.key", "server.pem", "is not a PEM file"),
    ],
)
async def test_files_that_cannot_be_used_stop_the_start(
    server_files: Pair, tmp_path: Path, cert: str, key: str, why: str
) -> None:
    """A server whose certificate or key is unusable does not start, and says why."""
    folder = server_files[0].parent
    with pytest.raises(ConfigError, match=why):
        async with serving(tmp_path, tls=ServerTLS(folder / cert, folder / key)):
            pass


def test_invalid_settings_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate without its key, or TLS for a Unix socket, is rejected."""
    with pytest.raises(ValueError, match="belong together"):
        podium.TLS(cert="client.pem")
    with pytest.raises(ValueError, match="leave out tls"):
        podium.Client("unix:/podium.sock", tls=True)
    monkeypatch.setenv("PODIUM_TLS_KEY", "client.key")
    with pytest.raises(ValueError, match="PODIUM_TLS_CERT and PODIUM_TLS_KEY belong together"):
        podium.Client("localhost:1")
