"""The settings of a server, and their rules."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from podium._limits.limits import Limits
from podium._model.access import TokenLimits

from podium_server.rpc.admission import AdmissionLimits

__all__ = ["Auth", "ConfigError", "FrontName", "ServerTLS", "Settings"]


Auth: TypeAlias = Literal["tokens", "none"]
"""The values of `--auth`. Without this option, `podium_server.serve.addresses` decides."""


FrontName: TypeAlias = Literal["grpcio", "native", "auto"]
"""The values of `--front`. `auto` means native if the package podium-front is installed."""


class ConfigError(Exception):
    """A setting is invalid. The message has the reason, and how to fix it."""


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """The files of a server's encrypted ports, in PEM.

    Attributes:
        cert: The server's certificate, followed by the intermediate certificates of its authority.
        key: The private key of `cert`, without a password.
        client_ca: Certificate authorities. If given, every client must present a certificate from
            one of these authorities.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """The paths of all given files."""
        return [path for path in (self.cert, self.key, self.client_ca) if path is not None]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server. `podium serve --help` explains each of them."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    store: str = "sqlite:///podium.db"
    insecure: bool = False
    tls: ServerTLS | None = None
    auth: Auth | None = None
    front: FrontName = "grpcio"
    reflection: bool = False
    grace_seconds: float = 1.5
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    answer_cache_bytes: int = 2 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)
    token_limits: TokenLimits = field(default_factory=TokenLimits)
    total_limits: TokenLimits = field(default_factory=TokenLimits)
    http: tuple[str, ...] = ()
    http_origins: tuple[str, ...] = ()
    audit: Path | None = None
    traces: float | None = None
