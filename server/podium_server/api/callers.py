"""The caller of the running call.

`podium_server.rpc.access` sets the caller before a handler runs.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from podium_server.api.quotas import UNLIMITED, Usage
from podium_server.store.tokens import TokenRow

__all__ = ["CALLER", "EVERYONE", "Caller"]


async def _is_unlimited() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Caller:
    """The token of a caller, and what the caller may do.

    Attributes:
        token: The token of the caller. None if the server requires no tokens.
    """

    token: TokenRow | None
    usage: Usage = UNLIMITED
    """Counts how much of its limits the caller has used."""
    check_again: Callable[[], Awaitable[None]] = _is_unlimited
    """A function that raises TOKEN_INVALID if the token has expired or was revoked.

    Streams call it before each message.
    """
    _beginnings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        beginnings = tuple(f"{prefix}/" for prefix in self.prefixes) or ("",)
        object.__setattr__(self, "_beginnings", beginnings)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of the experiment names that the caller may use.

        An empty tuple allows all names.
        """
        return () if self.token is None else self.token.prefixes

    def allows(self, experiment: str) -> bool:
        """Returns whether the caller may know that an experiment exists."""
        # Every call runs this. It is faster than `is_within` with each prefix.
        return f"{experiment}/".startswith(self._beginnings)


EVERYONE = Caller(None)
"""The caller of each call on a server that requires no tokens."""

CALLER: ContextVar[Caller] = ContextVar("podium_caller")
"""The caller of the call that runs in this task. Reading it fails if no caller was set."""
