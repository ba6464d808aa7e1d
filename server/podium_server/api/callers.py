"""The caller of a call, which `podium_server.rpc.access` sets before a handler runs."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from podium_server.store.tokens import TokenRow

__all__ = ["CALLER", "EVERYONE", "Caller"]


async def _is_unlimited() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller.

    Attributes:
        token: The token of the caller. None if the server answers calls without tokens.
    """

    token: TokenRow | None
    check_again: Callable[[], Awaitable[None]] = _is_unlimited
    """Raises TOKEN_INVALID if the token has ended. Streams call it before each message."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The names that the caller is limited to. If there are none, all names are allowed."""
        return () if self.token is None else self.token.prefixes

    def allows(self, experiment: str) -> bool:
        """Returns whether the caller may know that an experiment exists."""
        return self.token is None or self.token.allows(experiment)


EVERYONE = Caller(None)
"""Any caller of a server that answers calls without tokens."""

CALLER: ContextVar[Caller] = ContextVar("podium_caller")
"""The caller of the call that this task works on. Reading it fails unless a caller was set."""
