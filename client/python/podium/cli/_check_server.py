"""Checks the connection to the server for `podium doctor`."""

import argparse
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import podium
from podium import Client, Server, Token
from podium._client.channel import is_loopback
from podium._client.security import Security
from podium._values.address import host_and_port, server_address, server_addresses, socket_path
from podium._values.tls import TLS
from podium.cli import _format
from podium.cli._connecting import open_client
from podium.cli._exits import text_of
from podium.cli._findings import Finding, Level, failed, ok, warning
from podium.errors import PodiumError, UnauthenticatedError

__all__ = ["check_server"]

_now = time.time
_SECONDS = 5.0
_SKEW_WARNING, _SKEW_FAILED = 5.0, 300.0
_NEARLY_FULL = 0.9
"""The share of a limit of stored rows from which a warning is shown."""
_EXPIRES_SOON = timedelta(days=14)
_ABOUT_TOKENS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


def check_server(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Yields the findings about the address, encryption, the token and the server."""
    try:
        address = server_address(arguments.address)
        security = Security(address, None, None)
        if security.tls is not None:
            security.tls.check()
    except ValueError as error:
        yield failed("settings", str(error), "correct the option, the variable or the file")
        return
    can_connect = False
    for each in server_addresses(address):
        findings = list(_connection(each, security.tls))
        can_connect = can_connect or findings[-1].level is not Level.FAILED
        yield from findings
    if not can_connect:
        return
    try:
        has_token = bool(security.metadata())
    except UnauthenticatedError as error:
        yield failed(
            "token", error.message, "correct PODIUM_TOKEN, or the file of PODIUM_TOKEN_FILE"
        )
        return
    with open_client(arguments) as client:
        yield from _calls(client, has_token=has_token)


def _connection(address: str, tls: TLS | None) -> Iterator[Finding]:
    reached = _address(address)
    yield reached
    if reached.level is not Level.FAILED:
        yield _encryption(address, tls)


def _address(address: str) -> Finding:
    path = socket_path(address)
    try:
        if path is not None:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_SECONDS)
                probe.connect(path)
        else:
            host, port = host_and_port(address)
            socket.create_connection((host, port), _SECONDS).close()
    except socket.gaierror as error:
        text = f"{address}: the name of the host is unknown: {error.strerror}"
        return failed("address", text, "correct --address or PODIUM_ADDRESS, or the name service")
    except OSError as error:
        text = f"{address} does not answer: {error.strerror or error}"
        remedy = "start the server at this address, or correct --address or PODIUM_ADDRESS"
        return failed("address", text, remedy)
    return ok("address", f"{address} accepts connections")


def _encryption(address: str, tls: TLS | None) -> Finding:
    if tls is None:
        if socket_path(address) is not None or is_loopback(address):
            return ok("tls", "the connection is not encrypted, which is safe on this machine")
        text = f"the connection to {address} is not encrypted"
        return warning("tls", text, "give the server a certificate, and set PODIUM_TLS_CA here")
    try:
        end = _certificate_end(address, tls)
    except ssl.SSLCertVerificationError as error:
        text = f"the certificate of {address} is refused: {error.verify_message}"
        return failed("tls", text, _certificate_remedy(error, tls))
    except (OSError, ValueError) as error:
        text = f"no encrypted connection to {address}: {error}"
        remedy = "check that the server has --tls-cert, and the files of PODIUM_TLS_CA"
        return failed("tls", text, remedy)
    left = end - datetime.now(UTC)
    text = f"the certificate of {address} is valid until {_format.moment(end)}"
    if left < _EXPIRES_SOON:
        return warning("tls", text, "renew the files of --tls-cert and --tls-key on the server")
    return ok("tls", text)


def _certificate_end(address: str, tls: TLS) -> datetime:
    """Checks the server's certificate. Returns the time at which the certificate expires."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.set_alpn_protocols(["h2"])
    if tls.cert is not None:
        # An empty password prevents a prompt for one on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    host, port = host_and_port(address)
    with (
        socket.create_connection((host, port), _SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        certificate = encrypted.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)


def _certificate_remedy(error: ssl.SSLCertVerificationError, tls: TLS) -> str:
    if "expired" in error.verify_message:
        return "renew the certificate on the server, or correct the clock of this machine"
    if "not yet valid" in error.verify_message:
        return "correct the clock of this machine or of the server"
    if "match" in error.verify_message:
        return "connect by a name in the certificate, or issue one with this name"
    name = "the authorities of this machine" if tls.ca is None else Path(tls.ca).name
    return f"set PODIUM_TLS_CA to the authority that issued it; {name} did not"


def _calls(client: Client, *, has_token: bool) -> Iterator[Finding]:
    begin = _now()
    try:
        server = client.server()
        middle, pause = (_now() + begin) / 2, _now() - begin
        token = client.whoami()
    except PodiumError as error:
        is_token = error.code in _ABOUT_TOKENS
        yield failed("token" if is_token else "server", text_of(error), _remedy(error))
        return
    yield _version(server)
    yield _clock(server, middle, pause)
    if token is not None:
        yield _token(token)
    elif has_token:
        text = "a token is set, but the server requires none, and so allows every call"
        yield warning("token", text, "start the server with --auth tokens")
    else:
        yield ok("token", "the server requires no token, and allows every call")


def _remedy(error: PodiumError) -> str:
    remedies = {
        "TOKEN_MISSING": "set PODIUM_TOKEN_FILE to a file with a token",
        "TOKEN_INVALID": "get a new token: `podium token create` on the server's machine",
        "ROLE_TOO_LOW": "get a token with a higher role",
        "OVERLOADED": "wait, or see the load of the server",
        "QUOTA_EXCEEDED": "wait, or get a token with higher limits",
    }
    return remedies.get(error.reason, "see the log of the server")


def _version(server: Server) -> Finding:
    if server.version == podium.__version__:
        return ok("version", f"podium {server.version} here and at the server")
    text = f"podium {podium.__version__} here, {server.version} at the server"
    return warning("version", text, "upgrade the older one")


def _clock(server: Server, middle: float, pause: float) -> Finding:
    if server.time is None:
        return ok("clock", "the server is too old to tell its time")
    ahead = middle - server.time.timestamp()
    certain = max(0.0, abs(ahead) - pause / 2)
    where = "ahead of" if ahead > 0 else "behind"
    text = f"the clock of this machine is {abs(ahead):,.0f} s {where} the server's"
    if certain <= _SKEW_WARNING:
        return ok("clock", f"differs from the server's by less than {_SKEW_WARNING:g} s")
    remedy = (
        "synchronise both clocks (timedatectl), "
        "because the attempts of an arm are ordered by the time at which they started"
    )
    found = failed if certain > _SKEW_FAILED else warning
    return found("clock", text, remedy)


def _token(token: Token) -> Finding:
    end = token.expire_time
    text = (
        f"{token.name} ({token.id}), {token.role}, prefixes {_format.prefixes(token)}, limits "
        f"{_format.limits(token)}, valid until {_format.moment(end) or 'it is revoked'}"
    )
    if end is not None and end - datetime.now(UTC) < _EXPIRES_SOON:
        return warning(
            "token", text, "create a new token with the same name, and replace this token with it"
        )
    if token.role == podium.Role.READER:
        return warning(
            "token",
            f"{text}: a reader cannot record",
            "get a token with the role recorder to record",
        )
    most = token.limits.stored_rows
    if most is not None and (token.stored_rows or 0) >= _NEARLY_FULL * most:
        text += f": {_format.stored_rows(token)} rows are stored"
        remedy = "delete results, or get a token with a higher stored_rows limit"
        return warning("token", text, remedy)
    return ok("token", text)
