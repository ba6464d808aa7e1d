"""The settings of a server, and their rules."""

from dataclasses import dataclass, field

from podium._limits.limits import Limits

from podium_server.rpc.admission import AdmissionLimits

__all__ = ["ConfigError", "Settings"]


class ConfigError(Exception):
    """A setting is invalid; the text says why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a server; see `podium serve --help` for what each means."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    store: str = "sqlite:///podium.db"
    insecure: bool = False
    reflection: bool = False
    grace_seconds: float = 1.5
    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    answer_cache_bytes: int = 2 * 1024 * 1024
    limits: Limits = field(default_factory=Limits)
