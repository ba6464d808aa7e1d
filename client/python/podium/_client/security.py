"""What protects a connection, and what to do when that fails. No I/O of gRPC here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from podium._values.address import socket_path
from podium._values.tls import TLS, FileStates, check_authorities, check_pair, file_states
from podium.errors import UnavailableError

if TYPE_CHECKING:
    from podium._values.tls import PathLike

__all__ = ["Security", "tls_problem"]


class Security:
    """Protects the connections to an address.

    Args:
        address: The address of the server.
        tls: The files for TLS; True for public authorities, False for no TLS, None for the files
            of the environment. A socket has no TLS.

    Raises:
        ValueError: TLS is asked for on a socket, or the environment is incomplete.
    """

    def __init__(self, address: str, tls: TLS | bool | None) -> None:
        is_socket = socket_path(address) is not None
        if is_socket and tls:
            raise ValueError("a socket is only open to its user and has no TLS: leave tls out")
        if tls is None and not is_socket:
            tls = TLS.from_environment()
        self.tls: TLS | None = TLS() if tls is True else tls or None
        self._states: FileStates = ()

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Returns the credentials of a new channel; None for a channel without TLS.

        Raises:
            UnavailableError: A file cannot be read or used.
        """
        if self.tls is None:
            return None
        self._states = file_states(self.tls.paths)
        try:
            return _credentials(self.tls)
        except ValueError as error:
            raise UnavailableError(f"no encrypted connection can be made: {error}") from error

    def has_changed(self) -> bool:
        """Returns whether a file is no longer the one of the last channel."""
        return self.tls is not None and file_states(self.tls.paths) != self._states


def _credentials(tls: TLS) -> grpc.ChannelCredentials:
    if tls.ca is not None:
        check_authorities(tls.ca)
    if tls.cert is not None and tls.key is not None:
        check_pair(tls.cert, tls.key)
    ca, key, cert = (_content(path) for path in (tls.ca, tls.key, tls.cert))
    return grpc.ssl_channel_credentials(ca, key, cert)


def _content(path: PathLike | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def tls_problem(address: str, why: str, tls: TLS | None) -> str | None:
    """Returns what is wrong between a client and a server about TLS, and what would be right.

    Args:
        address: The address of the server.
        why: gRPC's reason why there is no connection.
        tls: The files of the client; None without TLS.
    """
    if tls is None:
        if "Socket closed" not in why:
            return None
        return (
            f"{address} closes the connection, so it may require TLS: set PODIUM_TLS_CA, or give "
            "tls=, with the certificate of its authority"
        )
    authority = "a public authority" if tls.ca is None else f"an authority in {tls.ca}"
    texts = {
        "certificate has expired": "its certificate has expired: renew it, or check the clock here",
        "not yet valid": "its certificate is not yet valid: check the clocks",
        "CERTIFICATE_VERIFY_FAILED": f"its certificate was not issued by {authority}: set "
        "PODIUM_TLS_CA, or give tls=, with the certificate of the authority that issued it",
        "Hostname Verification": "its certificate is for other names: connect by a name that the "
        "certificate has, or issue one with this name",
        "WRONG_VERSION_NUMBER": "it has no TLS there: connect without tls= and PODIUM_TLS_CA, or "
        "start the server with --tls-cert and --tls-key",
        "Socket closed": "it closes the connection: it may require a certificate of the client; "
        "set PODIUM_TLS_CERT and PODIUM_TLS_KEY, or give tls=, with one that it accepts",
    }
    found = next((text for part, text in texts.items() if part in why), None)
    return None if found is None else f"no encrypted connection to {address}: {found}"
