"""Tests of the address of a client's server."""

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import podium
import pytest
from podium._client.channel import channel_options
from podium_server.testing import running_server

from tests.each import each


def test_the_default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without an address uses the address in PODIUM_ADDRESS.

    If the variable is unset or empty, the address is localhost:50051.
    """
    monkeypatch.delenv("PODIUM_ADDRESS", raising=False)
    assert podium.Client().address == "localhost:50051"
    monkeypatch.setenv("PODIUM_ADDRESS", "")
    assert podium.AsyncClient().address == "localhost:50051"
    monkeypatch.setenv("PODIUM_ADDRESS", "results.example:1234")
    assert podium.Client().address == "results.example:1234"
    assert podium.Client("other.example:1").address == "other.example:1"


@each(
    "address",
    [
        "localhost:50051",
        "127.0.0.1:1",
        "[::1]:50051",
        "unix:relative.sock",
        "unix:/absolute.sock",
        "unix:///absolute.sock",
        "dns:///results.example:443",
        "ipv4:10.0.0.1:50051",
        "ipv6:[::1]:50051",
    ],
)
def test_addresses(address: str) -> None:
    """A client accepts each form of address and does not change it."""
    assert podium.Client(address).address == address


@pytest.mark.parametrize(
    ("address", "similar"),
    [
        ("", None),
        (":50051", None),
        ("a b:1", None),
        ("unix:", None),
        ("localhost", "localhost:50051"),
        ("localhost:", "localhost:50051"),
        ("8080", "127.0.0.1:8080"),
        ("http://localhost:50051", "localhost:50051"),
        ("https://results.example/ui?x=1", "results.example:50051"),
        ("grpc://user:secret@[::1]:7", "[::1]:7"),
        ("fe80::1", "[fe80::1]:50051"),
        ('"localhost:50051"', "localhost:50051"),
        ("[fe80::1]", "[fe80::1]:50051"),
    ],
)
def test_malformed_addresses(
    address: str, similar: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A malformed address is rejected with an error that shows the two valid forms.

    If there is a similar valid address, the error suggests it.
    """
    example = f", such as {similar!r}," if similar else ","
    expected = f"is HOST:PORT or unix:PATH{example} not {address!r}"
    with pytest.raises(ValueError, match=re.escape(f"an address {expected}")):
        podium.Client(address)
    if similar:
        assert podium.Client(similar).address == similar
        monkeypatch.setenv("PODIUM_ADDRESS", address)
        with pytest.raises(ValueError, match=re.escape(f"PODIUM_ADDRESS {expected}")):
            podium.Client()


def test_white_space_around_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around an address, such as a line break at its end, is ignored."""
    monkeypatch.setenv("PODIUM_ADDRESS", "results.example:1234\n")
    assert podium.Client().address == "results.example:1234"
    assert podium.Client(" unix:/run/podium.sock\n").address == "unix:/run/podium.sock"


def test_a_port_that_is_too_large() -> None:
    """A port over 65535 is rejected, because gRPC would connect to another port."""
    with pytest.raises(
        ValueError, match="'localhost:70000' has no valid port: a port is at most 65535"
    ):
        podium.Client("localhost:70000")


def test_a_socket_path_that_is_too_long() -> None:
    """A socket path that is too long is rejected with an error that states the limit."""
    with pytest.raises(ValueError, match="107 bytes"):
        podium.Client("unix:/" + "x" * 107)


@each("seconds", [0, -1, math.inf, math.nan])
def test_no_timeouts(seconds: float) -> None:
    """A timeout must be positive and finite, so that every call ends."""
    with pytest.raises(ValueError, match="read_timeout"):
        podium.Client("localhost:1", read_timeout=seconds)
    with pytest.raises(ValueError, match="write_timeout"):
        podium.AsyncClient("localhost:1", write_timeout=seconds)


@each(("address", "asked"), [("localhost:1", False), ("127.0.0.1:1", False), ("example:1", True)])
def test_proxies_are_not_asked_for_this_machine(address: str, asked: bool) -> None:
    """A client of a server on this machine does not use the proxy of the environment."""
    assert (("grpc.enable_http_proxy", 0) not in channel_options(address)) is asked


def test_a_unix_socket() -> None:
    """A client can call a server over a Unix socket."""
    with TemporaryDirectory() as folder:
        address = f"unix:{Path(folder) / 'podium.sock'}"
        with (
            running_server(None, "--listen", address) as server,
            podium.Client(address) as client,
        ):
            assert server.process.poll() is None
            assert client.experiment("e").declare().revision == 1
