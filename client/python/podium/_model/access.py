"""The tokens of a server, without their secrets."""

from dataclasses import dataclass, field
from datetime import datetime

from podium._values.base import ModelBase

__all__ = ["IssuedToken", "Token"]


@dataclass(eq=False, repr=False)
class Token(ModelBase):
    """A token without its secret."""

    id: str
    """The id, which is part of the token."""
    name: str
    """The name, chosen by people. A token that replaces another has the same name."""
    role: str
    """The calls that the token allows: a Role."""
    prefixes: list[str] = field(default_factory=list)
    """The experiments that it includes, each with all experiments below it. Empty: all."""
    create_time: datetime | None = None
    """The time when it was created."""
    expire_time: datetime | None = None
    """The time when it ends; None if it never does."""
    revoke_time: datetime | None = None
    """The time when it was revoked; None if it was not."""


@dataclass(eq=False, repr=False)
class IssuedToken(ModelBase):
    """A new token. The server does not keep its secret, so it can be read only here."""

    token: Token
    """The description of the token."""
    secret: str = field(repr=False)
    """The token itself, as clients take it: `pdm_...`."""
