"""The files of an encrypted connection, and checks of these files.

Check the files before gRPC reads them: gRPC raises an error only when a connection fails, and the
error does not name the file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["TLS", "FileStates", "PathLike", "check_authorities", "check_pair", "file_states"]

PathLike: TypeAlias = "str | os.PathLike[str]"
FileStates: TypeAlias = "tuple[tuple[int, int, int], ...]"
"""A value that describes the state of some files. It differs after a file has changed."""


@dataclass(frozen=True, slots=True)
class TLS:
    """The files of an encrypted connection, in PEM. Each file is read when a connection is opened.

    Args:
        ca: The certificates of the authorities that may have issued the server's certificate. If
            not given, those of the public authorities that come with gRPC.
        cert: The certificate of this client, with the certificates between it and its authority.
            Needed only if the server requires a certificate of the client.
        key: The private key of `cert`, without a password.

    Raises:
        ValueError: There is a `cert` without a `key`, or the other way round.
    """

    ca: PathLike | None = None
    cert: PathLike | None = None
    key: PathLike | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a certificate and its key belong together: give both, or neither")

    @staticmethod
    def from_environment() -> TLS | None:
        """Returns the files of PODIUM_TLS_CA, _CERT and _KEY, or None if none of them is set.

        Raises:
            ValueError: Only one of PODIUM_TLS_CERT and PODIUM_TLS_KEY is set.
        """
        names = ("PODIUM_TLS_CA", "PODIUM_TLS_CERT", "PODIUM_TLS_KEY")
        ca, cert, key = (os.environ.get(name, "").strip() or None for name in names)
        if (cert is None) != (key is None):
            raise ValueError("PODIUM_TLS_CERT and PODIUM_TLS_KEY belong together: set both")
        return TLS(ca, cert, key) if ca or cert else None

    @property
    def paths(self) -> list[Path]:
        """The paths of `ca`, `cert` and `key`, without those that are None."""
        return [Path(path) for path in (self.ca, self.cert, self.key) if path is not None]

    def check(self) -> None:
        """Raises a ValueError if a file cannot be read or used. The message names the file."""
        if self.ca is not None:
            check_authorities(self.ca)
        if self.cert is not None and self.key is not None:
            check_pair(self.cert, self.key)


def check_authorities(path: PathLike) -> None:
    """Raises a ValueError if a file cannot be read, or has no certificates of authorities."""
    import ssl  # noqa: PLC0415 - only encrypted connections need it

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(os.fspath(path))
    except ssl.SSLError as error:
        raise ValueError(f"{path} has no certificate in the format PEM") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def check_pair(cert: PathLike, key: PathLike) -> None:
    """Raises a ValueError if two files cannot be read, or are not a certificate and its key."""
    import ssl  # noqa: PLC0415 - only encrypted connections need it

    try:
        for path in (cert, key):
            Path(path).read_bytes()
        # An empty password prevents a prompt for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if "MISMATCH" in str(error):
            why = f"the key in {key} does not belong to the certificate in {cert}"
        else:
            why = (
                f"{cert} or {key} is not a PEM file, or the key has a password; remove the password"
            )
        raise ValueError(why) from error
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read: {error.strerror}") from error


def file_states(paths: list[Path]) -> FileStates:
    """Returns a value that differs after one of the files was changed, created or deleted."""
    return tuple(map(_state, paths))


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
