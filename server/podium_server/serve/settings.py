"""The settings of a server, and their rules."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from podium._limits.limits import Limits

from podium_server.rpc.admission import AdmissionLimits

__all__ = ["Auth", "ConfigError", "ServerTLS", "Settings"]


Auth: TypeAlias = Literal["tokens", "none"]
"""Whether calls need tokens. None in the settings decides by the addresses and the store."""


class ConfigError(Exception):
    """A setting is invalid; the text says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """The files of a server's encrypted ports, in PEM.

    Attributes:
        cert: The server's certificate, with those between it and its authority.
        key: The private key of `cert`, without a password.
        client_ca: The authorities of which every client must show a certificate, if given.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The files that are given."""
        return [path for path in (self.cert, self.key, self.client_ca) if path is not None]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server; see `podium serve --help` for what each means."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    store: str = "sqlite:///podium.db"
    insecure: bool = False
    tls: ServerTLS | None = None
    auth: Auth | None = None
    reflection: bool = False
    grace_seconds: float = 1.5
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    answer_cache_bytes: int = 2 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)
    http: tuple[str, ...] = ()
