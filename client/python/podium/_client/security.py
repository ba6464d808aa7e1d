"""The TLS files and the token of a connection, and messages for their errors. Makes no calls."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from podium._client.channel import is_loopback
from podium._values.address import server_addresses, socket_path
from podium._values.coerce import kind_of
from podium._values.tls import TLS, FileStates, file_states
from podium._values.tokens import token_id
from podium.errors import ClientStateError, UnauthenticatedError, UnavailableError

if TYPE_CHECKING:
    from podium._values.tls import PathLike

__all__ = ["Security", "tls_problem"]


class Security:
    """The TLS files and the token that a client uses for an address.

    Args:
        address: The address of the server, or of several servers.
        tls: The files for TLS. True stands for public authorities, False for no TLS, and None for
            the files that environment variables name. A `unix:PATH` address has no TLS.
        token: The token, or the path of its file. None stands for the token of PODIUM_TOKEN or
            PODIUM_TOKEN_FILE.

    Raises:
        TypeError: `tls` or `token` has a wrong type.
        ValueError: `tls` is given for a `unix:PATH` address, only one of PODIUM_TLS_CERT and
            PODIUM_TLS_KEY is set, or the token is malformed.
    """

    def __init__(
        self, address: str, tls: TLS | bool | None, token: str | os.PathLike[str] | None
    ) -> None:
        _check_types(tls, token)
        is_socket = socket_path(address) is not None
        if is_socket and tls:
            raise ValueError("TLS is not used on unix:PATH addresses; leave out tls")
        if tls is None and not is_socket:
            tls = TLS.from_environment()
        self.tls: TLS | None = TLS() if tls is True else tls or None
        self._states: FileStates = ()
        self._given_token = token
        self._token = _Token(token)
        self._address = address
        is_here = is_socket or all(map(is_loopback, server_addresses(address)))
        self._is_private = is_here or self.tls is not None

    @property
    def settings(self) -> tuple[TLS | bool, os.PathLike[str] | None]:
        """The settings of a pickled client: the TLS files, and the token file.

        Raises a ClientStateError if the token was given as a string, because a pickle is not
        secret.
        """
        if isinstance(self._given_token, str):
            raise ClientStateError(
                "a client that was given a token as text cannot be pickled; pass the path of a "
                "token file as `token`, or set PODIUM_TOKEN_FILE"
            )
        return self.tls or False, self._given_token

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of a call: the token, or nothing if there is no token.

        Raises an UnauthenticatedError if the token file cannot be used, or if the connection would
        send the token unencrypted over a network.
        """
        token = self._token.read()
        if token is None:
            return ()
        if not self._is_private:
            raise UnauthenticatedError(
                f"the token is not sent to {self._address} without encryption: set PODIUM_TLS_CA, "
                "or give tls="
            )
        return (("authorization", f"Bearer {token}"),)

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """Returns the TLS credentials of a new channel, or None for a channel without TLS.

        Raises an UnavailableError if a file cannot be used.
        """
        if self.tls is None:
            return None
        self._states = file_states(self.tls.paths)
        try:
            return _credentials(self.tls)
        except ValueError as error:
            raise UnavailableError(f"no encrypted connection can be made: {error}") from error

    def has_changed(self) -> bool:
        """Returns whether a TLS file has changed since the last channel was opened."""
        return self.tls is not None and file_states(self.tls.paths) != self._states


class _Token:
    """The token of a client. If it comes from a file, the file is read again after a change."""

    def __init__(self, given: str | os.PathLike[str] | None) -> None:
        self._source, self._path, self._token = "the argument token", None, None
        self._states: FileStates = ()
        if given is None:
            self._source, given = _token_of_environment()
        if isinstance(given, str):
            try:
                self._token = _checked(given)
            except ValueError as error:
                text = f"the text of {self._source} is not a valid token: {error}"
                raise ValueError(text) from None
        elif given is not None:
            self._path = Path(given)

    def read(self) -> str | None:
        """Returns the token, or None if there is none.

        Raises an UnauthenticatedError if the file has no valid token, or cannot be read.
        """
        if self._path is not None and (states := file_states([self._path])) != self._states:
            self._token, self._states = self._read_file(self._path), states
        return self._token

    def _read_file(self, path: Path) -> str:
        try:
            return _checked(path.read_text(encoding="utf-8"))
        except OSError as error:
            text = f"the file {path} of {self._source} cannot be read: {error.strerror}"
            raise UnauthenticatedError(text) from error
        except ValueError as error:
            text = f"the file {path} of {self._source} has no valid token: {error}"
            raise UnauthenticatedError(text) from error


def _checked(text: str) -> str:
    token_id(text.strip())
    return text.strip()


def _token_of_environment() -> tuple[str, str | Path | None]:
    for name in ("PODIUM_TOKEN", "PODIUM_TOKEN_FILE"):
        text = os.environ.get(name, "").strip()
        if text:
            return name, text if name == "PODIUM_TOKEN" else Path(text)
    return "PODIUM_TOKEN", None


def _check_types(tls: object, token: object) -> None:
    if not isinstance(tls, TLS | bool | None):
        raise TypeError(
            f"tls must be a podium.TLS, a bool or None, not {kind_of(tls)}; podium.TLS(ca=FILE) "
            "names the file with the certificate of the authority"
        )
    if not isinstance(token, str | os.PathLike | None):
        raise TypeError(f"token must be a string, a path or None, not {kind_of(token)}")


def _credentials(tls: TLS) -> grpc.ChannelCredentials:
    tls.check()
    ca, key, cert = (_content(path) for path in (tls.ca, tls.key, tls.cert))
    return grpc.ssl_channel_credentials(ca, key, cert)


def _content(path: PathLike | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def tls_problem(address: str, why: str, tls: TLS | None) -> str | None:
    """Returns a message about a TLS problem and its fix, or None if `why` is another problem.

    Args:
        address: The address of the server.
        why: gRPC's reason why no connection was made.
        tls: The TLS files of the client, or None without TLS.
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
        "certificate has expired": "its certificate has expired: renew "
        "it, or check the clock of this machine",
        "not yet valid": "its certificate is not yet valid: check the clocks",
        "CERTIFICATE_VERIFY_FAILED": f"its certificate was not issued by {authority}: set "
        "PODIUM_TLS_CA, or give tls=, with the certificate of the authority that issued it",
        "Hostname Verification": "its certificate is for other names: connect by a name "
        "in the certificate, or issue a certificate with this name",
        "WRONG_VERSION_NUMBER": "the server does not use TLS: connect without tls= and "
        "PODIUM_TLS_CA, or start the server with --tls-cert and --tls-key",
        # gRPC reports one of these texts if the server closes the connection. Which one depends on
        # whether the server first sends a TLS alert.
        **dict.fromkeys(
            ("Socket closed", "TSI_DATA_CORRUPTED"),
            "the server closes the connection, so it may require a certificate of the client: set "
            "PODIUM_TLS_CERT and PODIUM_TLS_KEY, or give tls=, with a certificate that the server "
            "accepts",
        ),
    }
    found = next((text for part, text in texts.items() if part in why), None)
    return None if found is None else f"no encrypted connection to {address}: {found}"
