"""Tests of what `podium doctor` finds out about a server, and of the remedies it suggests."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium._values.tls import TLS
from podium.cli import _check_server
from podium.cli._findings import Finding, Level, failed, ok
from podium.errors import PodiumError, UnavailableError, error_for

from tests.each import each


@each(
    ("reason", "remedy"),
    [
        ("TOKEN_MISSING", "set PODIUM_TOKEN_FILE to a file"),
        ("TOKEN_INVALID", "get a new token: "),
        ("ROLE_TOO_LOW", "get a token with a higher role"),
        ("OVERLOADED", "wait, or see the load of the server"),
        ("QUOTA_EXCEEDED", "wait, or get a token with higher limits"),
        ("SHUTTING_DOWN", "see the log of the server"),
    ],
)
def test_what_to_do_about_an_error(reason: str, remedy: str) -> None:
    """`podium doctor` suggests a remedy that fits the reason of a server's error."""
    assert _check_server._remedy(error_for(reason, "")).startswith(remedy)


@each(
    ("message", "remedy"),
    [
        ("certificate has expired", "renew the certificate on the server"),
        ("certificate is not yet valid", "correct the clock of this machine or of the server"),
        ("Hostname mismatch, certificate is not valid for 'h'", "connect by a name in the"),
        ("unable to get issuer", "set PODIUM_TLS_CA to the authority that issued it; ca.pem did"),
    ],
)
def test_what_to_do_about_a_certificate(message: str, remedy: str) -> None:
    """The remedy that `podium doctor` suggests depends on why the certificate is rejected."""
    error: Any = SimpleNamespace(verify_message=message)
    assert _check_server._certificate_remedy(error, TLS("/x/ca.pem")).startswith(remedy)
    if "issuer" in message:
        found = _check_server._certificate_remedy(error, TLS())
        assert found.endswith("the authorities of this machine did not")


def test_the_versions_of_both_sides() -> None:
    """`podium doctor` warns of a server of another version, and names both versions."""
    for version, level in ((podium.__version__, Level.OK), ("0.0", Level.WARNING)):
        server: Any = SimpleNamespace(version=version)
        found = _check_server._version(server)
        assert found.level is level
    assert found.text == f"podium {podium.__version__} here, 0.0 at the server"


def test_connections_without_encryption() -> None:
    """`podium doctor` warns of a connection without TLS, unless it stays on this machine."""
    for address in ("unix:/run/p", "localhost:1", "127.0.0.1:1", "[::1]:1"):
        assert _check_server._encryption(address, None).level is Level.OK, address
    found = _check_server._encryption("h:1", None)
    assert (found.level, "set PODIUM_TLS_CA here" in found.remedy) == (Level.WARNING, True)


class _Answers:
    """A client whose server answers every call, or fails with the given error."""

    def __init__(self, error: PodiumError | None = None) -> None:
        self._error = error

    def server(self) -> Any:
        if self._error is not None:
            raise self._error
        return SimpleNamespace(version=podium.__version__, time=None)

    def whoami(self) -> None:
        return None


@each(
    ("error", "has_token", "check", "level"),
    [
        (None, False, "token", Level.OK),
        (None, True, "token", Level.WARNING),
        (error_for("TOKEN_MISSING", ""), False, "token", Level.FAILED),
        (error_for("ROLE_TOO_LOW", ""), True, "token", Level.FAILED),
        (UnavailableError(""), True, "server", Level.FAILED),
    ],
)
def test_the_calls_of_a_check(
    error: PodiumError | None, *, has_token: bool, check: str, level: Level
) -> None:
    """`podium doctor` warns of a token if the server requires none.

    A failed call is a finding about the token or about the server, depending on its error.
    """
    client: Any = _Answers(error)
    found = list(_check_server._calls(client, has_token=has_token))
    assert (found[-1].check, found[-1].level) == (check, level)
    assert len(found) == (3 if error is None else 1)


@pytest.mark.parametrize(("good", "count"), [("a:1", 4), ("b:1", 4), ("", 2)])
def test_one_server_of_several_is_enough(
    good: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one of several servers can be reached, `podium doctor` goes on to make calls.

    If none can be reached, it makes no calls.
    """

    def connection(address: str, _tls: object) -> Iterator[Finding]:
        if address == good:
            yield ok("address", "open")
        yield ok("tls", "") if address == good else failed("address", "no", "start it")

    @contextmanager
    def opened(_arguments: argparse.Namespace) -> Iterator[Any]:
        yield None

    monkeypatch.setattr(_check_server, "_connection", connection)
    monkeypatch.setattr(_check_server, "open_client", opened)
    monkeypatch.setattr(_check_server, "_calls", lambda *_, **__: [ok("token", "")])
    given = argparse.Namespace(address="a:1,b:1", timeout=None)
    assert len(list(_check_server.check_server(given))) == count
