"""Tests of what a client does without a call: channel options, tokens, error messages."""

import json
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import podium
import pytest
from podium._client.channel import (
    OUTBOX_LAG,
    channel_options,
    connection_failure,
    deadline,
    is_loopback,
    lag_metadata,
)
from podium._client.connection import CALLS_AT_ONCE
from podium._client.security import Security, tls_problem
from podium._values.tokens import new_token
from podium.errors import (
    ClientStateError,
    DeadlineExceededError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

from tests.each import each

# ---- Channels ------------------------------------------------------------------------------------


@each(
    ("address", "is_here"),
    [
        ("localhost:1", True),
        ("127.0.0.1:50051", True),
        ("127.1.2.3:1", True),
        ("[::1]:1", True),
        ("localhost.example.org:1", False),
        ("localhost:1.example.org:2", False),
        ("127.0.0.1.example.org:1", False),
        ("10.0.0.1:1", False),
        ("[::2]:1", False),
    ],
)
def test_an_address_of_this_machine(address: str, *, is_here: bool) -> None:
    """Only loopback addresses count as this machine, and their channels use no proxy."""
    assert is_loopback(address) is is_here
    assert (("grpc.enable_http_proxy", 0) in channel_options(address)) is is_here


def test_the_options_of_channels() -> None:
    """The options for several servers differ from those for a single server.

    With several servers, gRPC notices a lost server sooner, and spreads calls over the servers.
    """
    one, others = (dict(channel_options("h:1", has_others=some)) for some in (False, True))
    assert one.pop("grpc.primary_user_agent").startswith("podium-python/")
    assert one == {
        "grpc.service_config_disable_resolution": 1,
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 10_000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1_000,
        "grpc.use_local_subchannel_pool": 1,
        "grpc.max_receive_message_length": 16 << 20,
    }
    assert json.loads(others["grpc.service_config"]) == {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
    }
    assert (others["grpc.min_reconnect_backoff_ms"], others["grpc.keepalive_timeout_ms"]) == (
        2_000,
        5_000,
    )
    assert dict(channel_options("dns:h:1")) == others


@each("seconds", [0, -1.0, math.inf, math.nan])
def test_no_time_limit(seconds: float) -> None:
    """A time limit must be positive and finite."""
    with pytest.raises(
        ValueError, match="read_timeout must be a positive, finite number of seconds"
    ):
        deadline(seconds, "read_timeout")
    assert deadline(1, "read_timeout") == 1.0


def test_an_unreachable_server_gets_no_calls_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refused connection, the other servers get all calls for one second.

    If no server can be reached, the client still calls all of them in turn.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    connection: Any = podium.Client("h:1,i:2")._connection
    kinds = [{int: SimpleNamespace(address=address)} for address in ("h:1", "i:2")]
    monkeypatch.setattr(connection, "_methods_of_servers", lambda: kinds)

    def called() -> list[str]:
        return [connection._next_method(7).address for _ in range(4)]

    assert called() == ["h:1", "i:2"] * 2
    away: Any = SimpleNamespace(address="h:1", name="n", timeout=10.0, is_write=False)
    connection._failure(_Refused(), away)
    assert called() == ["i:2"] * 4
    connection._left_out["i:2"] = 200.0
    assert called() == ["h:1", "i:2"] * 2
    now = 101.0
    assert called() == ["h:1"] * 4


class _Refused(grpc.RpcError):
    """The gRPC error of a call to a port on which no process listens."""

    def code(self) -> grpc.StatusCode:
        """Returns the status code."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """Returns the message that gRPC gives such an error."""
        return "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: refused"

    def trailing_metadata(self) -> tuple[()]:
        """Returns no metadata."""
        return ()


def test_the_lag_of_a_sender_is_sent_with_its_calls() -> None:
    """The calls of a sender state its lag in seconds, to the millisecond. Other calls do not."""
    assert lag_metadata() == ()
    before = OUTBOX_LAG.set(lambda: 1.2346)
    assert lag_metadata() == (("podium-outbox-lag", "1.235"),)
    OUTBOX_LAG.reset(before)


@each(
    ("text", "why"),
    [
        (
            "connections to all backends failing; last error: UNKNOWN: ipv4:10.0.0.1:1: refused",
            "refused",
        ),
        ("Socket closed", None),
        ("", None),
    ],
)
def test_why_no_connection_was_made(text: str, why: str | None) -> None:
    """If gRPC could not connect, the cause is read from its message.

    Other messages give no cause, because the call may have been sent.
    """
    assert connection_failure(text) == why


def test_a_pickled_client_has_the_same_settings() -> None:
    """A pickled client keeps its addresses, its time limits, and whether it retries calls."""
    client = podium.Client(
        "h:1,i:2", read_timeout=1.0, write_timeout=2.0, connect_timeout=3.0, retry=False
    )
    copy = pickle.loads(pickle.dumps(client))  # noqa: S301 - our own
    kept = ("address", "_read_timeout", "_write_timeout", "_policy", "_servers")
    for name in kept:
        assert getattr(copy._connection, name) == getattr(client._connection, name)


def test_the_defaults_of_a_client() -> None:
    """By default, reads take up to 10 s and writes 30 s. At most 256 calls run at once."""
    connection = podium.Client("h:1")._connection
    assert (connection._read_timeout, connection._write_timeout) == (10.0, 30.0)
    assert (connection._policy.is_on, connection._policy.connect_seconds) == (True, None)
    assert CALLS_AT_ONCE == 256


def test_a_call_that_waits_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for other calls times out only if none of them is answered for 10 s.

    The 10 s begin again with each answer.
    """
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    connection = podium.Client("h:1")._connection
    assert connection._queue_seconds(95.0, 10.0) == 5.0
    connection._answered_at = 99.0
    assert connection._queue_seconds(95.0, 10.0) == 9.0
    now = 109.0
    with pytest.raises(DeadlineExceededError, match="h:1 has not answered for 10 s"):
        connection._queue_seconds(95.0, 10.0)


@pytest.mark.parametrize("is_write", [False, True])
def test_only_a_write_can_have_an_unknown_outcome(*, is_write: bool) -> None:
    """If a connection is lost or a deadline passes, it is unknown whether a write was stored.

    Only then, and only for a write, the message says so.
    """
    connection: Any = podium.Client("h:1")._connection
    method: Any = SimpleNamespace(address="h:1", name="n", timeout=10.0, is_write=is_write)
    for error in (UnavailableError("Socket closed"), DeadlineExceededError("late")):
        text = connection._text(error, method)
        assert ("whether it was stored is unknown" in text) is is_write
    assert "stored" not in connection._text(NotFoundError("no"), method)


# ---- Tokens --------------------------------------------------------------------------------------


@pytest.fixture
def token() -> str:
    """Returns a valid new token."""
    return new_token().text


def test_a_token_file_is_read_again_after_a_change(tmp_path: Path, token: str) -> None:
    """If the token file changes, the next call sends the new token or raises an error."""
    file = tmp_path / "token"
    file.write_text(f" {token}\n")
    security = Security("localhost:1", None, file)
    assert security.metadata() == (("authorization", f"Bearer {token}"),)
    other = new_token().text
    file.write_text(f"{other}  \n\n")
    assert security.metadata() == (("authorization", f"Bearer {other}"),)
    file.write_text(other[:-1])
    with pytest.raises(UnauthenticatedError, match="has no valid token"):
        security.metadata()
    file.unlink()
    with pytest.raises(UnauthenticatedError, match="cannot be read"):
        security.metadata()


def test_the_token_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str
) -> None:
    """PODIUM_TOKEN precedes PODIUM_TOKEN_FILE, and an argument precedes both."""
    other = new_token().text
    (tmp_path / "token").write_text(other)
    monkeypatch.setenv("PODIUM_TOKEN_FILE", f"{tmp_path / 'token'}\n")
    assert Security("localhost:1", None, None).metadata()[0][1] == f"Bearer {other}"
    monkeypatch.setenv("PODIUM_TOKEN", f"{token}\n")
    assert Security("localhost:1", None, None).metadata()[0][1] == f"Bearer {token}"
    third = new_token().text
    assert Security("localhost:1", None, third).metadata()[0][1] == f"Bearer {third}"


def test_a_token_is_not_pickled(tmp_path: Path, token: str) -> None:
    """A client with a token cannot be pickled.

    If a client has a token file instead, the pickle contains the path of the file.
    """
    with pytest.raises(ClientStateError, match="cannot be pickled"):
        _ = Security("h:1", None, token).settings
    assert Security("h:1", None, tmp_path).settings == (False, tmp_path)


@pytest.mark.parametrize(
    ("address", "is_sent"),
    [("localhost:1", True), ("unix:/s", True), ("h:1", False), ("localhost:1,h:1", False)],
)
def test_where_a_token_is_sent_without_encryption(
    address: str, token: str, *, is_sent: bool
) -> None:
    """A token is sent without encryption only if all servers are on this machine."""
    security = Security(address, None, token)
    if is_sent:
        assert security.metadata()
        return
    with pytest.raises(UnauthenticatedError, match="is not sent to"):
        security.metadata()


@each(
    ("why", "tls", "text"),
    [
        ("Socket closed", None, "it may require TLS"),
        ("Connection refused", None, None),
        ("Connection refused", podium.TLS(), None),
        ("certificate has expired", podium.TLS(), "renew it"),
        ("certificate is not yet valid", podium.TLS(), "check the clocks"),
        ("CERTIFICATE_VERIFY_FAILED", podium.TLS(), "by a public authority"),
        ("CERTIFICATE_VERIFY_FAILED", podium.TLS(ca="ca.pem"), "by an authority in ca.pem"),
        ("Hostname Verification", podium.TLS(), "for other names"),
        ("WRONG_VERSION_NUMBER", podium.TLS(), "the server does not use TLS"),
        ("Socket closed", podium.TLS(), "a certificate of the client"),
    ],
)
def test_the_text_of_a_tls_problem(why: str, tls: podium.TLS | None, text: str | None) -> None:
    """The message about each TLS problem names its remedy. Other problems have no message."""
    found = tls_problem("h:1", why, tls)
    assert (found is None) is (text is None)
    assert (text or "") in (found or "")
